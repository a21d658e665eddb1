//! The digest of exactly those parts of a document that a decision reads. The document is walked once, as it would be
//! written, and no copy of it is made: two documents with the same digest look the same to the policy.
//!
//! Each value is written with its kind, and whatever has no end of its own with its length or an end mark, so that no
//! two different parts are written the same. Members stand in the order in which the document has them: another order is
//! another digest, which costs a decision and is never wrong.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::ser::{self, Impossible, SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::reads::Reads;

/// Bytes that are looked at for one digest at most; a larger question is decided each time.
const BYTES_MAX: usize = 64 << 10;

/// What a document says to a policy, as SHA-256.
pub(crate) type Fingerprint = [u8; 32];

/// The digest of a context and of what is read of a document. None: too large, or not a document of JSON's kind.
pub(crate) fn fingerprint<D: Serialize + ?Sized>(
    context: &[&[u8]],
    reads: &Reads,
    document: &D,
) -> Option<Fingerprint> {
    let mut writer = Writer(Vec::with_capacity(512));
    for part in context {
        writer.bytes(b'c', part).ok()?;
    }
    document.serialize(Part { writer: &mut writer, reads }).ok()?;
    digest(&SHA256, &writer.0).as_ref().try_into().ok()
}

/// There is no digest of this.
#[derive(Debug)]
struct Unfit;

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too large, or not of JSON's kind")
    }
}

impl std::error::Error for Unfit {}

impl ser::Error for Unfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn put(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Unfit> {
        if self.0.len().saturating_add(bytes.len()) > BYTES_MAX {
            return Err(Unfit);
        }
        self.0.push(kind);
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// With the length before.
    fn bytes(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Unfit> {
        let length = u32::try_from(bytes.len()).map_err(|_| Unfit)?;
        self.put(kind, &length.to_le_bytes())?;
        self.put(b'=', bytes)
    }
}

/// A place in the document, and what is read there.
struct Part<'w, 'r> {
    writer: &'w mut Writer,
    reads: &'r Reads,
}

impl<'w, 'r> Part<'w, 'r> {
    fn end(self) -> Result<(), Unfit> {
        self.writer.put(b'.', &[])
    }

    fn at<'a>(&'a mut self, reads: &'r Reads) -> Part<'a, 'r> {
        Part { writer: self.writer, reads }
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Unfit> {
        let Some(reads) = self.reads.member(name) else { return Ok(()) };
        self.writer.bytes(b'k', name.as_bytes())?;
        value.serialize(self.at(reads))
    }
}

/// Kinds of values that no JSON document has.
macro_rules! unfit {
    ($($name:ident($($argument:ty),*) -> $product:ty;)*) => {
        $(fn $name(self, $(_: $argument),*) -> Result<$product, Unfit> { Err(Unfit) })*
    };
}

impl<'w, 'r> Serializer for Part<'w, 'r> {
    type Ok = ();
    type Error = Unfit;
    type SerializeSeq = Self;
    type SerializeTuple = Impossible<(), Unfit>;
    type SerializeTupleStruct = Impossible<(), Unfit>;
    type SerializeTupleVariant = Impossible<(), Unfit>;
    type SerializeMap = Entries<'w, 'r>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Unfit>;

    fn serialize_bool(self, value: bool) -> Result<(), Unfit> {
        self.writer.put(if value { b't' } else { b'f' }, &[])
    }

    fn serialize_i64(self, value: i64) -> Result<(), Unfit> {
        match u64::try_from(value) {
            Ok(value) => self.serialize_u64(value),
            Err(_) => self.writer.put(b'i', &value.to_le_bytes()),
        }
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unfit> {
        self.writer.put(b'u', &value.to_le_bytes())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Unfit> {
        self.writer.put(b'd', &value.to_bits().to_le_bytes())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unfit> {
        self.writer.bytes(b's', value.as_bytes())
    }

    fn serialize_none(self) -> Result<(), Unfit> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unfit> {
        self.writer.put(b'n', &[])
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Unfit> {
        self.writer.put(b'[', &[])?;
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'w, 'r>, Unfit> {
        self.writer.put(b'{', &[])?;
        Ok(Entries { part: self, name: String::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unfit> {
        self.writer.put(b'{', &[])?;
        Ok(self)
    }

    fn serialize_i8(self, value: i8) -> Result<(), Unfit> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Unfit> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Unfit> {
        self.serialize_i64(value.into())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Unfit> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Unfit> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unfit> {
        self.serialize_u64(value.into())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unfit> {
        Err(Unfit)
    }

    unfit! {
        serialize_f32(f32) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_tuple(usize) -> Impossible<(), Unfit>;
        serialize_tuple_struct(&'static str, usize) -> Impossible<(), Unfit>;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Impossible<(), Unfit>;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Impossible<(), Unfit>;
    }
}

impl SerializeSeq for Part<'_, '_> {
    type Ok = ();
    type Error = Unfit;

    /// Of an array all is taken: no path names a part of one literally.
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        value.serialize(self.at(&Reads::All))
    }

    fn end(self) -> Result<(), Unfit> {
        Part::end(self)
    }
}

impl SerializeStruct for Part<'_, '_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unfit> {
        self.member(name, value)
    }

    fn end(self) -> Result<(), Unfit> {
        Part::end(self)
    }
}

/// The members of an object whose names are only known as they come.
struct Entries<'w, 'r> {
    part: Part<'w, 'r>,
    name: String,
}

impl SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), Unfit> {
        self.serialize_key(key)?;
        self.serialize_value(value)
    }

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unfit> {
        self.name.clear();
        key.serialize(Name(&mut self.name))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.part.member(&self.name, value)
    }

    fn end(self) -> Result<(), Unfit> {
        self.part.end()
    }
}

/// Takes a member's name; JSON has strings only.
struct Name<'a>(&'a mut String);

impl Serializer for Name<'_> {
    type Ok = ();
    type Error = Unfit;
    type SerializeSeq = Impossible<(), Unfit>;
    type SerializeTuple = Impossible<(), Unfit>;
    type SerializeTupleStruct = Impossible<(), Unfit>;
    type SerializeTupleVariant = Impossible<(), Unfit>;
    type SerializeMap = Impossible<(), Unfit>;
    type SerializeStruct = Impossible<(), Unfit>;
    type SerializeStructVariant = Impossible<(), Unfit>;

    fn serialize_str(self, name: &str) -> Result<(), Unfit> {
        self.0.push_str(name);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Unfit> {
        Err(Unfit)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, name: &T) -> Result<(), Unfit> {
        name.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unfit> {
        Err(Unfit)
    }

    unfit! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Impossible<(), Unfit>;
        serialize_tuple(usize) -> Impossible<(), Unfit>;
        serialize_tuple_struct(&'static str, usize) -> Impossible<(), Unfit>;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Impossible<(), Unfit>;
        serialize_map(Option<usize>) -> Impossible<(), Unfit>;
        serialize_struct(&'static str, usize) -> Impossible<(), Unfit>;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Impossible<(), Unfit>;
    }
}

#[cfg(test)]
mod tests;

//! A look at Thrift's compact protocol before crate `parquet` reads it: that reader takes sizes, counts and depths as they
//! are written, allocates what they say and recurses as deep. Here every number is held against what is there.
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>, and `parquet.thrift` for the fields.)

/// A page, as the header before it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// 0 data, 1 index, 2 dictionary, 3 data in its second version.
    pub(super) kind: i64,
    pub(super) uncompressed: i64,
    pub(super) compressed: i64,
    /// Values with nulls, or those of the dictionary.
    pub(super) values: i64,
    pub(super) encoding: i64,
}

/// Structs within structs; the format has six.
const DEPTH_MAX: usize = 16;
/// Columns and groups of columns, and how deep they may stand in each other.
const SCHEMA_MAX: usize = 20_000;
const SCHEMA_DEPTH_MAX: usize = 32;

/// Reads the header of a page at the beginning of some bytes. None: it is none.
pub(super) fn page_header(bytes: &[u8]) -> Option<PageHeader> {
    let mut header = PageHeader::default();
    let mut seen = 0;
    Walk { bytes, path: Vec::new() }.object(&mut |path, event| {
        let Event::Number(number) = event else { return };
        match path {
            [1] => (header.kind, seen) = (number, seen | 1),
            [2] => (header.uncompressed, seen) = (number, seen | 2),
            [3] => (header.compressed, seen) = (number, seen | 4),
            [5 | 7 | 8, 1] => header.values = number,
            [5 | 7, 2] | [8, 4] => header.encoding = number,
            _ => {}
        }
    })?;
    (seen == 7).then_some(header)
}

/// Whether a footer's schema is a tree that can be read, and everything in the footer is there. Else what is wrong.
pub(super) fn check_footer(bytes: &[u8]) -> Result<(), &'static str> {
    let (mut children, mut now) = (Vec::new(), 0);
    Walk { bytes, path: Vec::new() }
        .object(&mut |path, event| match (path, event) {
            ([2, 5], Event::Number(count)) => now = count,
            ([2], Event::End) => {
                children.push(std::mem::take(&mut now));
            }
            _ => {}
        })
        .ok_or("its footer is cut or damaged")?;
    if children.len() > SCHEMA_MAX {
        return Err("it has too many columns");
    }
    // How many children are still to come, in each of the groups that are open.
    let mut open: Vec<usize> = Vec::new();
    for (at, count) in children.iter().enumerate() {
        while open.last() == Some(&0) {
            open.pop();
        }
        match open.last_mut() {
            Some(left) => *left -= 1,
            None if at > 0 => return Err("its schema has two roots"),
            None => {}
        }
        let left = children.len() - at - 1;
        match usize::try_from(*count) {
            Ok(0) => {}
            Ok(count) if count <= left => open.push(count),
            _ => return Err("its schema names columns that are not there"),
        }
        if open.len() > SCHEMA_DEPTH_MAX {
            return Err("its columns are nested too deep");
        }
    }
    if open.iter().any(|left| *left > 0) {
        Err("its schema names columns that are not there")
    } else {
        Ok(())
    }
}

enum Event {
    Number(i64),
    /// Of a struct.
    End,
}

struct Walk<'a> {
    bytes: &'a [u8],
    path: Vec<i64>,
}

type Seen<'f> = dyn FnMut(&[i64], Event) + 'f;

impl Walk<'_> {
    fn object(&mut self, seen: &mut Seen<'_>) -> Option<()> {
        if self.path.len() >= DEPTH_MAX {
            return None;
        }
        let mut id = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                seen(&self.path, Event::End);
                return Some(());
            }
            let delta = i64::from(head >> 4);
            id = if delta == 0 { self.zigzag()? } else { id + delta };
            self.path.push(id);
            self.value(head & 0x0f, false, seen)?;
            self.path.pop();
        }
    }

    fn value(&mut self, kind: u8, in_list: bool, seen: &mut Seen<'_>) -> Option<()> {
        match kind {
            // Of a field the value stands in its head, of a list's item in a byte.
            1 | 2 if !in_list => Some(()),
            1..=3 => self.skip(1),
            4..=6 => {
                let number = self.zigzag()?;
                seen(&self.path, Event::Number(number));
                Some(())
            }
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(usize::try_from(length).ok()?)
            }
            9 | 10 => {
                let head = self.byte()?;
                let short = u64::from(head >> 4);
                let count = if short == 15 { self.varint()? } else { short };
                self.all(count, |walk| walk.value(head & 0x0f, true, seen))
            }
            11 => {
                let count = self.varint()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                self.all(count, |walk| {
                    walk.value(kinds >> 4, true, seen)?;
                    walk.value(kinds & 0x0f, true, seen)
                })
            }
            12 => self.object(seen),
            13 => self.skip(16),
            _ => None,
        }
    }

    /// Each item takes a byte at least, so more than there are bytes can't be.
    fn all(&mut self, count: u64, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if count > self.bytes.len() as u64 || self.path.len() >= DEPTH_MAX {
            return None;
        }
        (0..count).try_for_each(|_| item(self))
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_page_header_is_read_and_a_broken_one_is_none() {
        // type 0, sizes 100 and 60, data_page_header {values 7, encoding 8, 3, 3}.
        let header = [0x15, 0, 0x15, 0xc8, 1, 0x15, 0x78, 0x2c, 0x15, 14, 0x15, 16, 0x15, 6, 0x15, 6, 0, 0];
        let found = page_header(&header).unwrap();
        assert_eq!(found, PageHeader { kind: 0, uncompressed: 100, compressed: 60, values: 7, encoding: 8 });
        for cut in 0..header.len() {
            assert_eq!(page_header(&header[..cut]), None, "{cut}");
        }
        for wrong in [
            vec![0],                                  // Nothing in it.
            vec![0x15, 0, 0x15, 2, 0],                // One size.
            vec![0x1c; 100],                          // Structs in structs.
            vec![0x19, 0xf8, 0xff, 0xff, 0xff, 0x7f], // A list longer than there are bytes.
            vec![0x19; 200],                          // Lists in lists.
            vec![0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            vec![0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            vec![0x1e, 0], // No such type.
        ] {
            assert_eq!(page_header(&wrong), None, "{wrong:?}");
        }
    }

    /// A footer whose schema has elements with so many children each.
    fn footer(children: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0x15, 2, 0x19, 0xfc];
        let varint = |bytes: &mut Vec<u8>, mut number: u32| {
            while number > 0x7f {
                bytes.push((number & 0x7f) as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
        };
        varint(&mut bytes, children.len() as u32);
        for count in children {
            bytes.extend([0x48, 1, b'a']);
            if *count > 0 {
                bytes.push(0x15);
                varint(&mut bytes, count * 2);
            }
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn a_schema_is_one_tree_of_bounded_depth() {
        assert_eq!(check_footer(&footer(&[2, 0, 2, 0, 0])), Ok(()));
        assert_eq!(check_footer(&footer(&[0])), Ok(()));
        let mut deep = vec![1; 32];
        deep.push(0);
        assert_eq!(check_footer(&footer(&deep)), Ok(()));
        deep.insert(0, 1);
        assert!(check_footer(&footer(&deep)).is_err(), "one level more");
        for wrong in [vec![3, 0, 0], vec![1, 0, 0], vec![u32::MAX / 2, 0], vec![0, 0]] {
            assert!(check_footer(&footer(&wrong)).is_err(), "{wrong:?}");
        }
        assert!(check_footer(&footer(&vec![0; 20_001])).is_err());
        let whole = footer(&[1, 0]);
        assert!((0..whole.len()).all(|cut| check_footer(&whole[..cut]).is_err()));
    }
}

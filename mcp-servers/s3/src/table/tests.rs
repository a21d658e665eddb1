#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]
use super::*;
use crate::store::Limits;
use crate::store::tests::limits;
use ::parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use serde_json::json;
use std::sync::Arc;

struct World {
    dir: tempfile::TempDir,
    store: Store,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("demo")).unwrap();
    let root = std::fs::canonicalize(dir.path()).unwrap();
    World { store: Store::folder(root, None, limits()).unwrap(), dir }
}

impl World {
    async fn preview(
        &self,
        key: &str,
        content: &[u8],
        change: impl FnOnce(&mut Wanted),
    ) -> Result<Table, StoreError> {
        std::fs::write(self.dir.path().join("demo").join(key), content).unwrap();
        let (bucket, key) = (Bucket::parse("demo").unwrap(), Key::parse(key).unwrap());
        let format = Format::of(&key).unwrap();
        let delimiter = if format == Format::Tsv { b'\t' } else { b',' };
        let mut wanted = Wanted { format, rows: 3, columns: Vec::new(), delimiter, header: true };
        change(&mut wanted);
        preview(&self.store, (&bucket, &key, None), wanted).await
    }

    async fn of(&self, key: &str, content: &[u8]) -> Result<Table, StoreError> {
        self.preview(key, content, |_| ()).await
    }
}

fn kinds(table: &Table) -> Vec<(&str, &str, Option<bool>)> {
    table.columns.iter().map(|c| (c.name.as_str(), c.kind.as_str(), c.nullable)).collect()
}

fn is_bad(found: &Result<Table, StoreError>) -> bool {
    matches!(found, Err(StoreError::BadTable { .. } | StoreError::NotText))
}

#[tokio::test]
async fn csv_has_columns_rows_and_a_count() {
    let world = world();
    let text = "id,name,score,ok,note\n1,Ada,1.5,true,\n2,\"Grace, H.\",2,false,x\n3,\"two\nlines\",-3e2,TRUE,\n4,d,1,true,\n";
    let table = world.of("a.csv", text.as_bytes()).await.unwrap();
    assert_eq!(
        kinds(&table),
        [
            ("id", "integer", Some(false)),
            ("name", "text", Some(false)),
            ("score", "number", Some(false)),
            ("ok", "boolean", Some(false)),
            ("note", "text", Some(true))
        ]
    );
    assert_eq!((table.row_count, table.row_count_estimate, table.rows.len()), (Some(4), None, 3));
    assert_eq!(table.rows[1], [json!("2"), json!("Grace, H."), json!("2"), json!("false"), json!("x")]);
    assert!(table.told().1.contains("3\ttwo lines\t-3e2"), "{}", table.told().1);
    let two = world
        .preview("a.csv", text.as_bytes(), |w| w.columns = vec!["ok".into(), "id".into(), "no".into()])
        .await
        .unwrap();
    assert_eq!(
        (&two.shown, &two.rows[0]),
        (&vec!["ok".to_owned(), "id".to_owned()], &vec![json!("true"), json!("1")])
    );
    assert!(two.notes[0].contains("no column \"no\""), "{:?}", two.notes);
    let bare =
        world.preview("a.csv", b"1;x\n2;y", |w| (w.header, w.delimiter) = (false, b';')).await.unwrap();
    assert_eq!((kinds(&bare)[0], bare.row_count), (("column_1", "integer", Some(false)), Some(2)));
    let tsv = world.of("a.tsv", b"a\tb\n1\t\n").await.unwrap();
    assert_eq!(kinds(&tsv), [("a", "integer", Some(false)), ("b", "empty", Some(true))]);
    let utf16: Vec<u8> = "\u{feff}a,b\n1,\u{fc}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(world.of("a.csv", &utf16).await.unwrap().rows[0], [json!("1"), json!("\u{fc}")]);
    let ragged = world.of("a.csv", b"a,b\n1\n1,2,3\n1,2\n").await.unwrap();
    assert_eq!((ragged.columns.len(), ragged.row_count), (3, Some(3)));
    assert!(ragged.notes.iter().any(|n| n.starts_with("2 rows have")), "{:?}", ragged.notes);
    assert_eq!(world.of("a.csv", b"a,b\n").await.unwrap().row_count, Some(0));
}

#[tokio::test]
async fn of_a_long_text_the_count_is_an_estimate_and_called_one() {
    let mut world = world();
    world.store.limits.table_bytes_max = 10_000;
    let text: String = std::iter::once("id,name\n".to_owned())
        .chain((0..10_000).map(|i| format!("{i:05},\"name, {i:05}\"\n")))
        .collect();
    let table = world.of("a.csv", text.as_bytes()).await.unwrap();
    assert_eq!((table.row_count, table.bytes_read), (None, 10_000));
    let estimate = table.row_count_estimate.unwrap();
    assert!((9_900..10_100).contains(&estimate), "{estimate}");
    assert!(table.notes.iter().any(|n| n.contains("estimate")), "{:?}", table.notes);
    assert!(table.told().0.contains("an estimate"), "{}", table.told().0);
    let text: String = (0..10_000).map(|i| format!("{{\"id\": {i:05}}}\n").replace(": 0", ": 1")).collect();
    let table = world.of("a.jsonl", text.as_bytes()).await.unwrap();
    assert_eq!((table.row_count, table.row_count_estimate), (None, Some(10_000)));
    let endless = "x".repeat(20_000);
    assert!(is_bad(&world.of("a.csv", endless.as_bytes()).await), "its first row doesn't end");
    assert!(is_bad(&world.of("a.jsonl", endless.as_bytes()).await));
}

#[tokio::test]
async fn json_lines_have_the_columns_of_all_their_objects() {
    let world = world();
    let text = "{\"id\": 1, \"tags\": [\"a\", \"b\"], \"x\": null}\r\n\n{\"id\": 2.5, \"at\": {\"b\": 1}}\n{\"id\": 3, \"x\": true, \"name\": \"Ada\"}";
    let table = world.of("a.jsonl", text.as_bytes()).await.unwrap();
    assert_eq!(
        kinds(&table),
        [
            ("id", "integer or number", Some(false)),
            ("tags", "list", Some(true)),
            ("x", "boolean", Some(true)),
            ("at", "object", Some(true)),
            ("name", "text", Some(true))
        ]
    );
    assert_eq!(table.rows[1], [json!(2.5), json!(null), json!(null), json!({"b": 1}), json!(null)]);
    assert_eq!(table.row_count, Some(3));
    let long = format!("{{\"a\": \"{}\", \"b\": [{}1]}}", "\u{fc}".repeat(300), "1, ".repeat(300));
    let cells = world.of("a.ndjson", long.as_bytes()).await.unwrap().rows.remove(0);
    assert!(cells.iter().all(|cell| cell.as_str().unwrap().chars().count() == 257), "{cells:?}");
}

#[tokio::test]
async fn what_is_no_table_is_an_error() {
    let world = world();
    let wide = ",".repeat(10_001);
    let deep = "[".repeat(10_000);
    let many: String = (0..11)
        .map(|i| {
            format!("{{{}}}\n", (0..1000).map(|j| format!("\"{i}_{j}\": 0")).collect::<Vec<_>>().join(","))
        })
        .collect();
    for (key, content) in [
        ("a.csv", b"".as_slice()),
        ("a.csv", b"a,\xff\n"),
        ("a.csv", b"a,b\0\n"),
        ("a.csv", wide.as_bytes()),
        ("a.jsonl", b""),
        ("a.jsonl", b"\n\n"),
        ("a.jsonl", b"{\"a\": 1}\n{\"a\": \n"),
        ("a.jsonl", b"[1]\n"),
        ("a.jsonl", b"{\"a\": 1} {\"a\": 2}\n"),
        ("a.jsonl", deep.as_bytes()),
        ("a.jsonl", many.as_bytes()),
        ("a.parquet", b""),
        ("a.parquet", b"PAR1"),
        ("a.parquet", b"PAR1PAR1PAR1"),
        ("a.parquet", b"PAR1\0\0\0\0PAR1"),
        ("a.parquet", b"PAR1\xff\xff\xff\x7fPAR1"),
        ("a.parquet", b"PAR1\x15\x02\0\x03\0\0\0PAR1"),
        ("a.parquet", b"PAR1\0\0\0\0PARE"),
        ("a.parquet", b"a,b\n1,2\n3,4\n5,6\n"),
    ] {
        let found = world.of(key, content).await;
        assert!(is_bad(&found), "{key} {:?}: {found:?}", &content[..content.len().min(40)]);
    }
}

const SCHEMA: &str = "message schema {
    required int64 id;
    optional binary name (STRING);
    optional double score;
    required boolean ok;
    required int32 day (DATE);
    required int64 at (TIMESTAMP(MICROS, true));
    required int32 price (DECIMAL(9, 2));
    optional group tags (LIST) { repeated group list { optional binary element (STRING); } }
    required fixed_len_byte_array(16) key (UUID);
    optional group owner { required binary mail (STRING); }
}";

/// A file of the crate's writer: `rows` rows in groups of 1,000.
fn file(rows: usize, properties: WriterProperties) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for begin in (0..rows).step_by(1_000) {
        let ids: Vec<usize> = (begin..rows.min(begin + 1_000)).collect();
        let mut group = file.next_row_group().unwrap();
        macro_rules! write {
            ($kind:ty, $values:expr, $definitions:expr, $repetitions:expr) => {{
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<$kind>().write_batch($values, $definitions, $repetitions).unwrap();
                column.close().unwrap();
            }};
        }
        let all = |f: &dyn Fn(usize) -> ByteArray| ids.iter().map(|i| f(*i)).collect::<Vec<_>>();
        write!(Int64Type, &ids.iter().map(|i| *i as i64).collect::<Vec<_>>(), None, None);
        // Every third has no name.
        let there: Vec<i16> = ids.iter().map(|i| i16::from(i % 3 != 2)).collect();
        let names: Vec<ByteArray> =
            ids.iter().filter(|i| *i % 3 != 2).map(|i| format!("name {}", i % 7).as_str().into()).collect();
        write!(ByteArrayType, &names, Some(&there), None);
        let some = vec![1; ids.len()];
        let scores: Vec<f64> = ids.iter().map(|i| if *i == 1 { f64::NAN } else { *i as f64 / 2.0 }).collect();
        write!(DoubleType, &scores, Some(&some), None);
        write!(BoolType, &ids.iter().map(|i| i % 2 == 0).collect::<Vec<_>>(), None, None);
        write!(Int32Type, &ids.iter().map(|i| 20_000 + *i as i32).collect::<Vec<_>>(), None, None);
        let at: Vec<i64> = ids.iter().map(|i| 1_767_225_600_000_000 + *i as i64).collect();
        write!(Int64Type, &at, None, None);
        write!(Int32Type, &ids.iter().map(|i| *i as i32 - 1).collect::<Vec<_>>(), None, None);
        // Row by row: two tags, one of them null; an empty list; none at all.
        let (mut tags, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
        for id in &ids {
            match id % 3 {
                0 => {
                    tags.push(ByteArray::from("red"));
                    definitions.extend([3, 2]);
                    repetitions.extend([0, 1]);
                }
                1 => (definitions.push(1), repetitions.push(0)).0,
                _ => (definitions.push(0), repetitions.push(0)).0,
            }
        }
        write!(ByteArrayType, &tags, Some(&definitions), Some(&repetitions));
        let keys: Vec<FixedLenByteArray> =
            all(&|i| vec![i as u8; 16].into()).into_iter().map(Into::into).collect();
        write!(FixedLenByteArrayType, &keys, None, None);
        write!(ByteArrayType, &all(&|_| "ada@example.org".into()), Some(&some), None);
        group.close().unwrap();
    }
    file.into_inner().unwrap()
}

fn plain() -> WriterProperties {
    WriterProperties::builder().build()
}

#[tokio::test]
async fn parquet_has_its_schema_its_first_rows_and_its_count() {
    let world = world();
    let table = world.of("a.parquet", &file(5, plain())).await.unwrap();
    assert_eq!(
        kinds(&table),
        [
            ("id", "int64", Some(false)),
            ("name", "text", Some(true)),
            ("score", "float64", Some(true)),
            ("ok", "boolean", Some(false)),
            ("day", "date", Some(false)),
            ("at", "timestamp", Some(false)),
            ("price", "decimal(9, 2)", Some(false)),
            ("tags.list.element", "list of text", Some(true)),
            ("key", "uuid", Some(false)),
            ("owner.mail", "text", Some(true))
        ]
    );
    assert_eq!((table.row_count, table.row_count_estimate, table.rows.len()), (Some(5), None, 3));
    assert_eq!(
        json!(table.rows),
        json!([
            [
                0,
                "name 0",
                0.0,
                true,
                "2024-10-04",
                "2026-01-01T00:00:00Z",
                "-0.01",
                ["red", null],
                "00000000-0000-0000-0000-000000000000",
                "ada@example.org"
            ],
            [
                1,
                "name 1",
                "NaN",
                false,
                "2024-10-05",
                "2026-01-01T00:00:00.000001Z",
                "0.00",
                [],
                "01010101-0101-0101-0101-010101010101",
                "ada@example.org"
            ],
            [
                2,
                null,
                1.0,
                true,
                "2024-10-06",
                "2026-01-01T00:00:00.000002Z",
                "0.01",
                null,
                "02020202-0202-0202-0202-020202020202",
                "ada@example.org"
            ],
        ])
    );
    let two = world
        .preview("a.parquet", &file(5, plain()), |w| {
            w.columns = vec!["tags.list.element".into(), "id".into()]
        })
        .await
        .unwrap();
    assert_eq!(json!(two.rows), json!([[["red", null], 0], [[], 1], [null, 2]]));
    assert_eq!(world.of("a.parquet", &file(0, plain())).await.unwrap().row_count, Some(0));
}

#[tokio::test]
async fn little_of_a_long_parquet_file_is_read() {
    let mut world = world();
    world.store.limits = Limits { table_bytes_max: 4 << 20, ..limits() };
    let bytes = file(200_000, WriterProperties::builder().set_dictionary_enabled(false).build());
    let table = world.of("a.parquet", &bytes).await.unwrap();
    assert_eq!((table.row_count, table.rows.len(), table.total_size), (Some(200_000), 3, bytes.len() as u64));
    assert!(bytes.len() > 10 << 20 && table.bytes_read < 1 << 20, "{} of {}", table.bytes_read, bytes.len());
    world.store.limits.table_bytes_max = 1024;
    let small = world.of("a.parquet", &bytes).await;
    assert!(matches!(small, Err(StoreError::TooLarge { .. })), "{small:?}");
}

#[tokio::test]
async fn compressions_and_versions_of_pages_are_read_or_named() {
    let world = world();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let gzip = Compression::GZIP(GzipLevel::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, zstd, Compression::LZ4_RAW, gzip] {
        for dictionary in [true, false] {
            let properties =
                WriterProperties::builder().set_compression(compression).set_dictionary_enabled(dictionary);
            let table = world.of("a.parquet", &file(5, properties.build())).await.unwrap();
            assert_eq!(json!(table.rows[2][..2]), json!([2, null]), "{compression:?}");
            assert!(!table.notes.iter().any(|n| n.contains("not shown")), "{:?}", table.notes);
        }
    }
    let second =
        WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0).set_compression(zstd);
    let table = world.of("a.parquet", &file(5, second.build())).await.unwrap();
    assert_eq!(json!(table.rows[2][0]), json!(2));
    let second =
        WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0).set_compression(gzip);
    let table = world.of("a.parquet", &file(5, second.build())).await.unwrap();
    assert!(table.notes.iter().any(|n| n.contains("gzip in pages of the second")), "{:?}", table.notes);
    let deltas = WriterProperties::builder().set_dictionary_enabled(false).set_encoding(Encoding::PLAIN);
    let deltas = deltas.set_column_encoding("name".into(), Encoding::DELTA_BYTE_ARRAY).build();
    let table = world.of("a.parquet", &file(5, deltas)).await.unwrap();
    assert_eq!(json!([table.rows[0][0], table.rows[0][1]]), json!([0, null]));
    assert!(
        table.notes.iter().any(|n| n == "column \"name\" is not shown: its encoding is not read here"),
        "{:?}",
        table.notes
    );
}

#[tokio::test]
async fn a_file_of_pyarrow_is_read() {
    let world = world();
    let table = world.of("a.parquet", include_bytes!("pyarrow.parquet")).await.unwrap();
    assert!(table.notes.iter().any(|n| n.starts_with("written by parquet-cpp-arrow")), "{:?}", table.notes);
    assert_eq!(table.row_count, Some(1000));
    assert_eq!(
        kinds(&table),
        [
            ("id", "int64", Some(true)),
            ("label", "text", Some(true)),
            ("weight", "float32", Some(true)),
            ("at", "timestamp", Some(true)),
            ("price", "decimal(12, 3)", Some(true)),
            ("embedding.list.element", "list of float32", Some(true)),
            ("blob", "bytes", Some(true)),
            ("meta.k", "int32", Some(true)),
        ]
    );
    assert_eq!(
        json!(table.rows[..2]),
        json!([
            [0, "cat", 0.5, "2026-01-01T00:00:00.000000001Z", "-1.500", [0.0, 0.25], "AP8=", 7],
            [1, null, null, "2026-01-01T00:00:01.000000001Z", "-0.500", [1.0, 1.25], "Af8=", null],
        ])
    );
}

/// Each byte of a file changed, and the file cut at each: a table or an error, and the process lives.
#[tokio::test]
async fn no_damage_to_a_file_is_more_than_an_error() {
    let mut world = world();
    world.store.limits.table_bytes_max = 1 << 20;
    let nested = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let whole = file(4, nested);
    let (mut read, mut refused) = (0, 0);
    for at in 0..whole.len() {
        for change in [0xff, 0x80, 0x01] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            match world.of("a.parquet", &bytes).await {
                Ok(_) => read += 1,
                Err(
                    StoreError::BadTable { .. } | StoreError::TooLarge { .. } | StoreError::NotFound { .. },
                ) => refused += 1,
                Err(other) => panic!("byte {at} ^ {change}: {other:?}"),
            }
        }
    }
    for cut in 0..whole.len() {
        assert!(is_bad(&world.of("a.parquet", &whole[..cut]).await), "{cut}");
    }
    println!("{read} read, {refused} refused, of {} bytes", whole.len());
    assert!(read > 0 && refused > 0);
}

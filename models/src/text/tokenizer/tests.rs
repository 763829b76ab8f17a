//! Ids against SentencePiece's own; hostile files.

use serde_json::{Value, json};

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/tokenizer")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json_fixture() -> Value {
    serde_json::from_slice(&fixture("tokenizer.json")).unwrap()
}

/// The strings of the fixture with SentencePiece's ids.
fn strings() -> Vec<(String, Vec<u32>)> {
    let rows: Value = serde_json::from_slice(&fixture("ids.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_value(rows["sentencepiece"].clone()).unwrap();
    rows.into_iter()
        .map(|row| {
            (
                row["text"].as_str().unwrap().to_owned(),
                serde_json::from_value(row["ids"].clone()).unwrap(),
            )
        })
        .collect()
}

fn assert_gives_sentencepiece_ids(tokenizer: &Tokenizer, name: &str) {
    let wrong: Vec<_> = strings()
        .into_iter()
        .map(|(text, ids)| (tokenizer.encode(&text, usize::MAX).unwrap().ids, text, ids))
        .filter(|(actual, _, ids)| actual != ids)
        .collect();
    assert!(
        wrong.is_empty(),
        "{name}: {} wrong, (actual, text, expected): {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
}

#[test]
fn a_sentencepiece_model_gives_the_library_s_ids() {
    assert_gives_sentencepiece_ids(
        &Tokenizer::from_spiece_bytes(&fixture("spiece.model")).unwrap(),
        "spiece.model",
    );
}

/// `spiece.gguf` holds the lists that llama.cpp's converter makes of `spiece.model`.
#[test]
fn the_tokenizer_of_a_gguf_file_gives_the_library_s_ids() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tokenizer/spiece.gguf");
    let weights = kinora_quant::file::open(path).unwrap();
    assert_eq!(weights.names(), ["spiece_model", "token_embd.weight"]);
    let rebuilt = Tokenizer::from_spiece_bytes(&weights.tensor("spiece_model").unwrap().data).unwrap();
    assert_gives_sentencepiece_ids(&rebuilt, "spiece.gguf");
    let original = Tokenizer::from_spiece_bytes(&fixture("spiece.model")).unwrap();
    assert_eq!(
        (rebuilt.eos_id(), rebuilt.vocab_size()),
        (original.eos_id(), original.vocab_size())
    );
}

#[test]
fn tokenizer_json_gives_sentencepiece_s_ids_in_every_dialect() {
    let base = json_fixture();
    let mut dialects = vec![("as it is", base.clone())];
    let mut dialect = |name, edit: &dyn Fn(&mut Value)| {
        let mut json = base.clone();
        edit(&mut json);
        dialects.push((name, json));
    };
    dialect("byte fallback on", &|json| json["model"]["byte_fallback"] = json!(true));
    dialect("byte fallback unsaid", &|json| {
        drop(json["model"].as_object_mut().unwrap().remove("byte_fallback"))
    });
    dialect("no post-processor", &|json| json["post_processor"] = Value::Null);
    dialect("old white space", &|json| {
        json["normalizer"] = json["normalizer"]["normalizers"][0].clone();
        json["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true}]});
    });
    dialect("padding and truncation", &|json| {
        json["truncation"] = json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
        json["padding"] = json!({"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"});
    });
    for (name, json) in dialects {
        let tokenizer = Tokenizer::from_json_bytes(json.to_string().as_bytes()).unwrap();
        assert!(matches!(tokenizer.0, Engine::SentencePiece(_)), "{name}");
        assert_gives_sentencepiece_ids(&tokenizer, name);
    }
}

/// The fixture with a plain NFKC normaliser, which SentencePiece has not: it runs in the library.
fn library_json(edit: impl Fn(&mut Value)) -> Vec<u8> {
    let mut json = json_fixture();
    json["normalizer"] = json!({"type": "NFKC"});
    edit(&mut json);
    json.to_string().into_bytes()
}

#[test]
fn other_tokenizer_json_files_run_in_the_library_with_one_end_token() {
    let spiece = Tokenizer::from_spiece_bytes(&fixture("spiece.model")).unwrap();
    let truncation = json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    let expected = spiece.encode("a red circle moves left", 512).unwrap();
    for (name, json) in [
        ("template", library_json(|_| ())),
        ("no template", library_json(|json| json["post_processor"] = Value::Null)),
        (
            "truncation",
            library_json(|json| json["truncation"] = truncation.clone()),
        ),
    ] {
        let tokenizer = Tokenizer::from_json_bytes(&json).unwrap();
        assert!(matches!(tokenizer.0, Engine::Library(_)), "{name}");
        assert_eq!(
            tokenizer.encode("a red circle moves left", 512).unwrap(),
            expected,
            "{name}"
        );
        assert_eq!(tokenizer.encode("", 512).unwrap().ids, [1], "{name}");
        assert_eq!((tokenizer.eos_id(), spiece.eos_id()), (1, 1));
        assert!(tokenizer.vocab_size() >= spiece.vocab_size());
    }
}

#[test]
fn long_texts_are_cut_and_keep_their_end_token() {
    for tokenizer in [
        Tokenizer::from_spiece_bytes(&fixture("spiece.model")).unwrap(),
        Tokenizer::from_json_bytes(&library_json(|_| ())).unwrap(),
    ] {
        let text = "a red circle ".repeat(300);
        let whole = tokenizer.encode(&text, usize::MAX).unwrap();
        assert_eq!(whole.truncated, None);
        let cut = tokenizer.encode(&text, 512).unwrap();
        assert_eq!(
            (cut.ids.len(), cut.ids[511], cut.truncated),
            (512, 1, Some(whole.ids.len()))
        );
        assert_eq!(cut.ids[..511], whole.ids[..511]);
        assert_eq!(tokenizer.encode(&text, whole.ids.len()).unwrap(), whole);
        assert_eq!(tokenizer.encode(&text, 0).unwrap().ids, [1]);
        assert_eq!(
            tokenizer.encode("", 512).unwrap(),
            Encoded {
                ids: vec![1],
                truncated: None
            }
        );
    }
}

#[test]
fn files_and_folders_are_found_and_errors_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| Tokenizer::from_file(path).unwrap_err().to_string();
    let error = message(folder.path());
    assert!(
        error.contains("spiece.model") && error.contains(&folder.path().display().to_string()),
        "{error}"
    );

    std::fs::write(folder.path().join("spiece.model"), fixture("spiece.model")).unwrap();
    let spiece = Tokenizer::from_file(folder.path()).unwrap();
    assert_eq!(
        Tokenizer::from_file(folder.path().join("spiece.model"))
            .unwrap()
            .vocab_size(),
        spiece.vocab_size()
    );

    let json = folder.path().join("tokenizer.json");
    std::fs::write(&json, fixture("tokenizer.json")).unwrap();
    assert!(
        Tokenizer::from_file(folder.path()).unwrap().vocab_size() > spiece.vocab_size(),
        "json is preferred"
    );
    std::fs::write(&json, "{").unwrap();
    let error = message(folder.path());
    assert!(error.contains("tokenizer.json: damaged"), "{error}");
    assert!(message(&folder.path().join("nothing.model")).contains("nothing.model"));
}

/// A protobuf field that holds bytes.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut length = value.len();
    let mut out = vec![number << 3 | 2];
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    [out.as_slice(), value].concat()
}

fn piece(text: &str, score: f32, kind: u8) -> Vec<u8> {
    field(
        1,
        &[
            field(1, text.as_bytes()),
            vec![0x15],
            score.to_le_bytes().to_vec(),
            vec![0x18, kind],
        ]
        .concat(),
    )
}

fn small_model() -> Vec<u8> {
    let pieces = [
        ("<unk>", 0.0, 2),
        ("</s>", 0.0, 3),
        ("▁a", -1.0, 1),
        ("b", -2.0, 1),
        ("[x]", 0.0, 4),
        ("bb", -9.0, 5),
    ];
    pieces
        .iter()
        .flat_map(|&(text, score, kind)| piece(text, score, kind))
        .collect()
}

#[test]
fn piece_kinds_mean_what_they_mean_in_sentencepiece() {
    let ids = |bytes: &[u8], text| {
        Tokenizer::from_spiece_bytes(bytes)
            .unwrap()
            .encode(text, 99)
            .unwrap()
            .ids
    };
    let model = small_model();
    assert_eq!(ids(&model, " ab  a"), [2, 3, 2, 1]);
    assert_eq!(ids(&model, "abb"), [2, 3, 3, 1], "unused pieces are not used");
    assert_eq!(ids(&model, "ab[x]b"), [2, 3, 4, 3, 1], "user-defined symbols are");
    assert_eq!(
        ids(&model, "a</s>zz"),
        [2, 0, 1],
        "control symbols are not, and unknown runs join"
    );
    let suffix = [model.clone(), field(2, &[0xc0, 1, 1])].concat();
    assert_eq!(ids(&suffix, "b b"), [3, 0, 3, 0, 1], "the space behind the word");
    let plain = [model.clone(), field(3, &[0x18, 0, 0x20, 0])].concat();
    assert_eq!(ids(&plain, " ab "), [2, 3, 0, 1], "no dummy prefix, all spaces kept");
}

#[test]
fn models_of_another_type_or_without_their_parts_are_clear_errors() {
    let message = |bytes: &[u8]| Tokenizer::from_spiece_bytes(bytes).unwrap_err().to_string();
    let bpe = [small_model(), field(2, &[0x18, 2])].concat();
    assert!(message(&bpe).contains("BPE"), "{}", message(&bpe));
    for (what, bytes, expected) in [
        ("empty", vec![], "unknown piece"),
        ("no end", piece("<unk>", 0.0, 2), "end symbol"),
        (
            "two unknowns",
            [small_model(), piece("<u>", 0.0, 2)].concat(),
            "unknown piece",
        ),
        ("twice", [small_model(), piece("b", -3.0, 1)].concat(), "occurs twice"),
        ("empty piece", [small_model(), piece("", -3.0, 1)].concat(), "empty"),
        (
            "infinite score",
            [small_model(), piece("c", f32::NEG_INFINITY, 1)].concat(),
            "finite",
        ),
        ("kind 9", [small_model(), piece("c", 0.0, 9)].concat(), "piece type 9"),
        (
            "no bytes",
            [small_model(), field(2, &[0x98, 2, 1])].concat(),
            "byte pieces",
        ),
        ("cut", small_model()[..20].to_vec(), "cut off"),
        (
            "rules",
            [small_model(), field(3, &field(2, &[0, 4, 0, 0, 1, 2, 3]))].concat(),
            "cut off",
        ),
        (
            "not UTF-8",
            [small_model(), field(1, &field(1, &[0xff, 0xfe]))].concat(),
            "UTF-8",
        ),
        ("wrong type", [small_model(), vec![0x08, 1]].concat(), "wrong type"),
        ("long varint", vec![0xff; 40], "malformed"),
    ] {
        assert!(message(&bytes).contains(expected), "{what}: {}", message(&bytes));
    }
}

#[test]
fn damaged_json_is_a_clear_error() {
    let message = |json: &Value| {
        Tokenizer::from_json_bytes(json.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    };
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut json = json_fixture();
        edit(&mut json);
        message(&json)
    };
    assert!(edited(&|json| json["model"]["unk_id"] = json!(99_999)).contains("99999"));
    assert!(edited(&|json| json["added_tokens"][1]["content"] = json!("other")).contains("added token 1"));
    assert!(
        edited(&|json| json["normalizer"]["normalizers"][0]["precompiled_charsmap"] = json!("@@@@")).contains("base64")
    );
    assert!(
        edited(&|json| json["normalizer"]["normalizers"][0]["precompiled_charsmap"] = json!("AAAA")).contains("rules")
    );
    assert!(edited(&|json| json["pre_tokenizer"] = json!({"type": "Whitespace"})).contains("compiled"));
    assert!(message(&json!({"model": {"type": "Nonsense"}})).contains("damaged"));
    assert!(message(&json!(null)).contains("damaged"));
    let nested = "[".repeat(100_000);
    assert!(Tokenizer::from_json_bytes(nested.as_bytes()).is_err());
}

/// A small deterministic generator (splitmix64) for the mutations.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }
}

/// One to three random edits: a byte changed, a piece cut out, doubled or cut off.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(40)).min(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            3 => bytes[at] ^= 1 << random.below(8),
            _ => bytes[at] = random.below(256) as u8,
        }
    }
}

/// Loads and, if that succeeds, uses a tokenizer: whatever the bytes, no panic, and every id is in range.
fn exercise(tokenizer: Result<Tokenizer>) -> bool {
    let Ok(tokenizer) = tokenizer else { return false };
    for text in [
        "",
        "a red circle",
        "ﬁne Ａ　½ ㍿ e\u{301}\u{323} 长 👨‍👩‍👧 </s><0x41>",
        "\u{0}\u{ffff}\t\n  x ",
    ] {
        if let Ok(encoded) = tokenizer.encode(text, 16) {
            assert!(encoded.ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        }
    }
    true
}

#[test]
fn mutated_sentencepiece_models_never_panic() {
    let whole = fixture("spiece.model");
    // Mostly the part with the pieces: the rules are 240 of the 250 kB.
    let pieces_only = small_model();
    let mut random = Random(1);
    let mut loaded = 0;
    for i in 0..2_000 {
        let mut bytes = if i % 20 == 0 {
            whole.clone()
        } else {
            pieces_only.clone()
        };
        mutate(&mut random, &mut bytes);
        loaded += usize::from(exercise(Tokenizer::from_spiece_bytes(&bytes)));
    }
    assert!(loaded > 100, "{loaded} of the mutants load: too few to mean something");
}

#[test]
fn mutated_rules_never_panic() {
    let mut random = Random(2);
    // A trie of one block whose units are random, and few replacements.
    for _ in 0..500 {
        let mut blob = 1024_u32.to_le_bytes().to_vec();
        for _ in 0..256 {
            let unit = (random.below(256) | random.below(2) << 8 | random.below(256) << 10) as u32;
            blob.extend(unit.to_le_bytes());
        }
        blob.extend(b"x\0\xc2\xbd\0".repeat(60));
        let model = [small_model(), field(3, &field(2, &blob))].concat();
        exercise(Tokenizer::from_spiece_bytes(&model));
    }
}

#[test]
fn mutated_json_never_panics() {
    let mut json = json_fixture();
    json["normalizer"]["normalizers"].as_array_mut().unwrap().remove(0);
    let vocab = json["model"]["vocab"].as_array_mut().unwrap();
    vocab.truncate(290);
    vocab.drain(10..255);
    let whole = json.to_string().into_bytes();
    let mut random = Random(3);
    let mut loaded = 0;
    for _ in 0..1_000 {
        let mut bytes = whole.clone();
        mutate(&mut random, &mut bytes);
        loaded += usize::from(exercise(Tokenizer::from_json_bytes(&bytes)));
    }
    assert!(loaded > 20, "{loaded} of the mutants load: too few to mean something");
}

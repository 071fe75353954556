//! Holds RFCS.md and the citations in the code together.
//!
//! Every RFC that a source file cites has a row in RFCS.md; every row that claims `Yes` or `Partly` names files or
//! folders that exist, and each of them cites that RFC.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

struct Row {
    status: String,
    places: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

/// The numbers behind every `RFC ` in a text; `RFC 6186, 8314` counts as both.
fn cited_numbers(text: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    for tail in text.split("RFC ").skip(1).chain(text.split("RFCs ").skip(1)) {
        for word in tail.split([',', ' ']).filter(|word| !word.is_empty()).take(8) {
            let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
            if digits.len() < 3 || digits.len() > 5 {
                if word == "and" {
                    continue;
                }
                break;
            }
            numbers.extend(digits.parse::<u32>());
            if digits.len() < word.len() {
                break;
            }
        }
    }
    numbers
}

fn source_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("a directory entry can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" {
            source_files(&path, found);
        } else if name.ends_with(".rs") && name != "rfcs.rs" {
            found.push(path);
        }
    }
}

fn cited_by_file() -> BTreeMap<PathBuf, BTreeSet<u32>> {
    let root = root();
    let mut files = Vec::new();
    for room in ["shared", "edge", "home", "tests"] {
        source_files(&root.join(room), &mut files);
    }
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            let inside = path.strip_prefix(&root).expect("it lies in the workspace").to_path_buf();
            (inside, cited_numbers(&text))
        })
        .collect()
}

fn rows() -> BTreeMap<u32, Row> {
    let text = fs::read_to_string(root().join("RFCS.md")).expect("RFCS.md stands at the top level");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let Ok(number) = cells[0].parse::<u32>() else { continue };
        assert!(cells.len() == 5, "RFCS.md: the row of RFC {number} has {} cells, 5 expected", cells.len());
        let places = cells[3].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let earlier = rows.insert(number, Row { status: cells[2].to_owned(), places });
        assert!(earlier.is_none(), "RFCS.md: RFC {number} has two rows");
    }
    rows
}

#[test]
fn numbers_are_read_in_every_spelling() {
    let text = "RFC 5321 §4.1, and RFCs 6186, 8314 and 8620; (RFC 7505). RFC 9051) RFC numbers RFC 12";
    assert_eq!(cited_numbers(text), BTreeSet::from([5321, 6186, 8314, 8620, 7505, 9051]));
}

#[test]
fn every_cited_rfc_has_a_row() {
    let rows = rows();
    let missing: Vec<String> = cited_by_file()
        .iter()
        .flat_map(|(path, numbers)| numbers.iter().map(move |number| (path, number)))
        .filter(|(_, number)| !rows.contains_key(number))
        .map(|(path, number)| format!("RFC {number}, cited in {}", path.display()))
        .collect();
    assert!(missing.is_empty(), "RFCS.md lacks:\n{}", missing.join("\n"));
}

#[test]
fn every_row_is_borne_out_by_the_code() {
    let cited = cited_by_file();
    let mut wrong = Vec::new();
    for (number, row) in rows() {
        match row.status.as_str() {
            "No" => continue,
            "Yes" | "Partly" => {}
            other => wrong.push(format!("RFC {number}: status `{other}`; Yes, Partly or No expected")),
        }
        if row.places.is_empty() {
            wrong.push(format!("RFC {number}: no place named"));
        }
        for place in &row.places {
            let borne_out =
                cited.iter().any(|(path, numbers)| path.starts_with(place) && numbers.contains(&number));
            if !borne_out {
                wrong.push(format!("RFC {number}: nothing under {place} cites it"));
            }
        }
    }
    assert!(wrong.is_empty(), "RFCS.md claims what the code does not say:\n{}", wrong.join("\n"));
}

//! Lists the catalogue's files, so that a new provider is a new file and nothing else, and writes down once, as JSON,
//! what every start of the gateway needs of them: YAML takes longer to read, and examples are for tests.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// What only people and tests read.
const NOTES: [&str; 3] = ["reference", "examples", "counterexamples"];

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let folder = Path::new(&root).join("config/secrets");
    println!("cargo::rerun-if-changed=config/secrets");
    println!("cargo::rerun-if-changed=build.rs");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            names.push(name);
        }
    }
    names.sort();
    let mut index = String::from("/// The catalogue's files: name and text.\nstatic FILES: &[(&str, &str)] = &[\n");
    let mut files = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let text = fs::read_to_string(&path)?;
        let file: Value = serde_yaml::from_str(&text).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        files.push(bare(file));
        let _ = writeln!(index, "    ({name:?}, include_str!({:?})),", path.display().to_string());
    }
    index.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("catalogue.json"), serde_json::to_vec(&files)?)?;
    fs::write(Path::new(&out).join("catalogue.rs"), index)
}

fn bare(mut file: Value) -> Value {
    for rule in file.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(members) = rule {
            members.retain(|name, _| !NOTES.contains(&name.as_str()));
        }
    }
    file
}

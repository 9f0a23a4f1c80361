//! Lists the catalogue's files, so that a new provider is a new file and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let folder = Path::new(&root).join("config/secrets");
    println!("cargo::rerun-if-changed=config/secrets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            names.push(name);
        }
    }
    names.sort();
    let mut index = String::from("/// The catalogue's files: name and text.\nstatic FILES: &[(&str, &str)] = &[\n");
    for name in names {
        let path = folder.join(&name);
        let _ = writeln!(index, "    ({name:?}, include_str!({:?})),", path.display().to_string());
    }
    index.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("catalogue.rs"), index)
}

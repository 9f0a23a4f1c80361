//! The secrets that a command could send although nobody named them: its environment's, and those of the dotfiles
//! that it can read.

use crate::secrets::KnownSecret;
use crate::secrets::known::{home_beside, of_file, of_variable};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Larger files are none of those that are looked for.
const FILE_MAX: u64 = 1 << 20;
/// Folders above the working directory in which a project's files are looked for.
const FOLDERS_MAX: usize = 8;
/// Where tools keep their credentials below the home folder.
const DOTFILES: [&str; 14] = [
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".git-credentials",
    ".config/git/credentials",
    ".aws/credentials",
    ".docker/config.json",
    ".config/gh/hosts.yml",
    ".cargo/credentials.toml",
    ".cargo/credentials",
    ".kube/config",
    ".terraform.d/credentials.tfrc.json",
    ".env",
];
/// Variables that name such a file, or its folder.
const ELSEWHERE: [(&str, &str); 7] = [
    ("NETRC", ""),
    ("NPM_CONFIG_USERCONFIG", ""),
    ("AWS_SHARED_CREDENTIALS_FILE", ""),
    ("PGPASSFILE", ""),
    ("DOCKER_CONFIG", "config.json"),
    ("GH_CONFIG_DIR", "hosts.yml"),
    ("CARGO_HOME", "credentials.toml"),
];
/// Endings of `.env` files that show what to write, and hold nothing.
const TEMPLATES: [&str; 5] = [".example", ".sample", ".template", ".dist", ".defaults"];

/// What was found, each value once.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) known: Vec<KnownSecret>,
    pub(super) of_environment: usize,
    pub(super) of_files: usize,
}

/// Looks through variables and files.
pub(super) fn gather(variables: &[(OsString, OsString)], directory: &Path) -> Gathered {
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        found.filter(|value| !value.is_empty())
    };
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    let mut gathered = Gathered::default();
    for (name, value) in variables {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        for secret in of_variable(name, value) {
            let secret = home_beside(name, text).into_iter().fold(secret, KnownSecret::at_home);
            gathered.of_environment += usize::from(gathered.add(secret));
        }
    }
    let home = variable("HOME").map(PathBuf::from);
    let mut files: Vec<PathBuf> = home.iter().flat_map(|home| DOTFILES.map(|name| home.join(name))).collect();
    files.extend(ELSEWHERE.into_iter().filter_map(|(name, below)| {
        let path = PathBuf::from(variable(name)?);
        Some(if below.is_empty() { path } else { path.join(below) })
    }));
    files.extend(variable("KUBECONFIG").iter().flat_map(std::env::split_paths));
    files.extend(project_files(directory, home.as_deref()));
    for path in files {
        let Some(bytes) = read(&path) else { continue };
        for secret in of_file(&path.to_string_lossy(), &bytes) {
            gathered.of_files += usize::from(gathered.add(secret));
        }
    }
    gathered
}

impl Gathered {
    /// Whether the value is new; the homes of one that is known already are added to it.
    fn add(&mut self, secret: KnownSecret) -> bool {
        match self.known.iter_mut().find(|known| known.expose() == secret.expose()) {
            Some(known) => {
                let more = secret.homes().iter().filter(|home| !known.homes().contains(home)).cloned();
                *known = more.collect::<Vec<_>>().into_iter().fold(known.clone(), KnownSecret::at_home);
                false
            }
            None => {
                self.known.push(secret);
                true
            }
        }
    }
}

/// `.env` and `.npmrc` of the working directory and of those above it, up to the repository's own.
fn project_files(directory: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in directory.ancestors().take(FOLDERS_MAX).take_while(|folder| Some(*folder) != home) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let env = |name: &str| name == ".env" || name.starts_with(".env.");
        let wanted = |name: &&String| name.as_str() == ".npmrc" || env(name);
        let template = |name: &&String| TEMPLATES.iter().any(|end| name.ends_with(end));
        found.extend(names.iter().filter(wanted).filter(|name| !template(name)).map(|name| folder.join(name)));
        if folder.join(".git").exists() {
            break;
        }
    }
    found
}

/// A file of plausible size; nothing where there is none that we may read. A pipe in its place is not waited for.
fn read(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > FILE_MAX {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).ok()? + 1));
    File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_dotfiles_and_project_are_looked_through_and_templates_are_not() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(".netrc", "machine git.acme.dev login me password f00-bar-99\nmachine x.test password anonymous\n");
        write(".aws/credentials", "[default]\naws_secret_access_key = qHqEP18oqL3sSCi7W/rMaYum2LwThPkeoL6uawb+\n");
        write("code/.git/HEAD", "");
        write("code/.env.local", "DB_PASSWORD=hunter2-horse\nDEBUG=true\nSAME_TOKEN=t0ken-99-of-mine\n");
        write("code/.env.example", "DB_PASSWORD=another-one-2\n");
        write("code/sub/.env", "API_TOKEN=sub-t0ken-77\n");
        write(".env.home", "HOME_TOKEN=n0t-of-the-project\n");
        let variables: Vec<(OsString, OsString)> = [
            ("HOME", home.path().to_str().unwrap()),
            ("ACME_TOKEN", "t0ken-99-of-mine"),
            ("ACME_URL", "https://api.acme.dev/v1"),
            ("EDITOR", "vim"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        let gathered = gather(&variables, &home.path().join("code/sub"));
        let mut names: Vec<(&str, String)> = gathered
            .known
            .iter()
            .map(|secret| (secret.name(), secret.homes().iter().map(ToString::to_string).collect()))
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                ("ACME_TOKEN", "api.acme.dev".to_owned()),
                ("API_TOKEN", String::new()),
                ("DB_PASSWORD", String::new()),
                ("aws_secret_access_key", String::new()),
                ("netrc", "git.acme.dev".to_owned()),
            ]
        );
        assert_eq!((gathered.of_environment, gathered.of_files), (1, 4));
    }

    #[test]
    fn a_folder_or_a_huge_file_in_a_files_place_is_no_obstacle() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".netrc")).unwrap();
        std::fs::write(home.path().join(".npmrc"), vec![b'a'; 2 << 20]).unwrap();
        let variables = [("HOME".into(), home.path().as_os_str().to_owned())];
        assert!(gather(&variables, home.path()).known.is_empty());
    }
}

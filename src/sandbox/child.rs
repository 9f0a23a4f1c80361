//! The command's life: started in the terminal's foreground, signals passed on, its end told as a shell would.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself.
    Code(u8),
    /// A signal ended it.
    Signal(i32),
}

impl Exit {
    /// The exit code to leave with: the command's own, or 128 + n for signal n, as shells tell it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            // wait(2) gives eight bits
            (Some(code), _) => Self::Code(u8::try_from(code & 0xFF).unwrap_or(u8::MAX)),
            (None, Some(number)) => Self::Signal(number),
            (None, None) => Self::Code(u8::MAX),
        }
    }
}

/// Why a command did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No such program on the PATH, or its interpreter is missing.
    #[error("{program}: command not found (or the interpreter in its first line)")]
    NotFound {
        /// As it was given.
        program: String,
    },
    /// It is there, but can't be run.
    #[error("{program}: can't be executed")]
    NotExecutable {
        /// As it was given.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The signals can't be listened to.
    #[error("can't listen for signals")]
    Signals(#[source] io::Error),
    /// The command can't be waited for.
    #[error("can't wait for the command")]
    Wait(#[source] io::Error),
}

impl SpawnError {
    /// The exit code to leave with: 127 not found, 126 not executable, as shells tell it.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::Signals(_) | Self::Wait(_) => 1,
        }
    }
}

/// Runs a command to its end with this environment and nothing else, on our stdin, stdout and stderr.
///
/// It stays in our process group, so that it is in the terminal's foreground when we are, and a key like Ctrl-C
/// reaches it from the terminal itself. We outlive those signals to tell how it ended, and pass the others on.
/// Dropping the future kills the command. `core` is its limit for core dumps: ours is not for others.
pub async fn run(
    program: &OsStr,
    arguments: &[OsString],
    environment: &BTreeMap<OsString, OsString>,
    core: u64,
) -> Result<Exit, SpawnError> {
    let mut signals = Signals::listen().map_err(SpawnError::Signals)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).kill_on_drop(true);
    let mut child = spawn(command, core).map_err(|source| spawn_error(program, source))?;
    loop {
        tokio::select! {
            status = child.wait() => return status.map(Exit::from).map_err(SpawnError::Wait),
            signal = signals.next() => {
                // `id` is none once the child was waited for, so the signal can't hit a stranger
                if let (Some(signal), Some(id)) = (signal, child.id().and_then(|id| i32::try_from(id).ok())) {
                    // ESRCH: it has just ended
                    let _ = kill(Pid::from_raw(id), signal);
                }
            }
        }
    }
}

/// Limits are inherited when a process is made: for that moment ours is the command's.
fn spawn(mut command: Command, core: u64) -> io::Result<Child> {
    let limits = getrlimit(Resource::RLIMIT_CORE);
    if let Ok((_, hard)) = limits {
        let _ = setrlimit(Resource::RLIMIT_CORE, core.min(hard), hard);
    }
    let child = command.spawn();
    if let Ok((soft, hard)) = limits {
        let _ = setrlimit(Resource::RLIMIT_CORE, soft, hard);
    }
    child
}

fn spawn_error(program: &OsStr, source: io::Error) -> SpawnError {
    let program = program.display().to_string();
    match source.kind() {
        io::ErrorKind::NotFound => SpawnError::NotFound { program },
        _ => SpawnError::NotExecutable { program, source },
    }
}

/// The signals that would end us before the command has ended.
struct Signals {
    interrupt: Stream,
    quit: Stream,
    terminate: Stream,
    hangup: Stream,
    user1: Stream,
    user2: Stream,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next signal to pass on; nothing for one that the terminal has sent to the command as well.
    async fn next(&mut self) -> Option<Signal> {
        let (signal, by_key) = tokio::select! {
            _ = self.interrupt.recv() => (Signal::SIGINT, true),
            _ = self.quit.recv() => (Signal::SIGQUIT, true),
            _ = self.terminate.recv() => (Signal::SIGTERM, false),
            _ = self.hangup.recv() => (Signal::SIGHUP, false),
            _ = self.user1.recv() => (Signal::SIGUSR1, false),
            _ = self.user2.recv() => (Signal::SIGUSR2, false),
        };
        (!by_key || !in_foreground()).then_some(signal)
    }
}

/// Whether keys of the controlling terminal signal our process group. In the background, or without a terminal (CI),
/// a SIGINT came from a program, to us alone.
fn in_foreground() -> bool {
    std::fs::File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(&terminal) == Ok(getpgrp()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard};

    /// Signals reach a whole process: what one test passes on would hit the other tests' commands.
    static ALONE: Mutex<()> = Mutex::new(());

    fn alone() -> MutexGuard<'static, ()> {
        ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn run_now(program: &str, arguments: &[&str]) -> Result<Exit, SpawnError> {
        let _alone = alone();
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        let environment =
            BTreeMap::from([("PATH".into(), std::env::var_os("PATH").unwrap()), ("ONLY".into(), "this".into())]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(OsStr::new(program), &arguments, &environment, 0))
    }

    #[test]
    fn the_exit_code_is_the_commands_own() {
        for code in [0, 1, 42, 255] {
            assert_eq!(run_now("sh", &["-c", &format!("exit {code}")]).unwrap().code(), code);
        }
    }

    #[test]
    fn a_command_killed_by_a_signal_is_told_as_128_and_its_number() {
        let exit = run_now("sh", &["-c", "kill -KILL $$"]).unwrap();
        assert_eq!((exit, exit.code()), (Exit::Signal(9), 137));
    }

    #[test]
    fn a_signal_to_us_is_passed_on() {
        let script = "trap 'exit 7' USR1; kill -USR1 $PPID; while :; do sleep 0.1; done";
        assert_eq!(run_now("sh", &["-c", script]).unwrap(), Exit::Code(7));
    }

    #[test]
    fn the_environment_is_the_given_one_and_nothing_else() {
        let script = r#"test "$ONLY" = this && test -z "$HOME$USER$CARGO_MANIFEST_DIR""#;
        assert_eq!(run_now("sh", &["-c", script]).unwrap(), Exit::Code(0));
    }

    #[test]
    fn a_command_that_is_not_there_is_127_and_one_that_is_no_program_126() {
        let error = run_now("no-such-command-here", &[]).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (127, "no-such-command-here: command not found (or the interpreter in its first line)")
        );
        let error = run_now("/dev/null", &[]).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (126, "/dev/null: can't be executed"));
    }
}

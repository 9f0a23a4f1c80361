//! Diagnostics on stderr.

use super::escape;
use std::io::{self, Write};
use std::str::FromStr;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text an event.
    #[default]
    Text,
    /// A JSON object an event.
    Json,
}

/// Why diagnostics can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none: neither `info` nor a filter like `info,exeat::dns=debug`.
    #[error("the log level {0:?} is none of error, warn, info, debug, trace, or a filter of them")]
    Level(String),
    /// The variable holds no level.
    #[error("RUST_LOG is no log level or filter")]
    Variable,
    /// Diagnostics are set up already.
    #[error("diagnostics are set up already")]
    Twice,
}

/// Sends diagnostics to stderr, for the whole process, once. `level` is what the command line says;
/// without it RUST_LOG counts, without that `info`.
pub fn init_tracing(format: LogFormat, level: Option<&str>) -> Result<(), LogError> {
    let subscriber = subscriber(format, filter(level)?, || Escaped(io::stderr().lock()));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("the log format is text or json"),
        }
    }
}

fn filter(level: Option<&str>) -> Result<EnvFilter, LogError> {
    match level {
        Some(level) => EnvFilter::builder().parse(level).map_err(|_| LogError::Level(level.to_owned())),
        None => match std::env::var(EnvFilter::DEFAULT_ENV) {
            Ok(level) if !level.is_empty() => EnvFilter::builder().parse(level).map_err(|_| LogError::Variable),
            _ => Ok(EnvFilter::new("info")),
        },
    }
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // An event that can't be written is lost: to tell so on stderr would panic where that is what has gone.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => Box::new(builder.with_target(false).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

/// Lets nothing through that steers a terminal or forges a line. The formatter hands over one whole
/// event a call, with a line end of its own.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        self.0.write_all(format!("{}\n", escape(line)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, event: impl FnOnce()) -> String {
        let shared = Shared::default();
        let writer = shared.clone();
        let subscriber = subscriber(format, EnvFilter::new(filter), move || Escaped(writer.clone()));
        tracing::subscriber::with_default(subscriber, event);
        String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
    }

    fn hostile() {
        let host = "evil\u{1b}[2J\n2026-01-01 INFO all is well\u{202e}";
        tracing::info!(target.host = %host, "refused {host}");
        tracing::debug!("not shown");
    }

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format, "info", hostile);
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            assert!(text.ends_with('\n') && !text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
            assert!(text.contains("all is well") && !text.contains("not shown"), "{text:?}");
        }
    }

    #[test]
    fn json_stays_json() {
        let text = logged(LogFormat::Json, "debug", || tracing::info!(a = "x\u{202e}\u{9b}\"", "m"));
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["a"], "x\u{202e}\u{9b}\"");
        assert_eq!(event["message"], "m");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        assert!(matches!(filter(Some("loud=very=much")), Err(LogError::Level(_))));
        assert_eq!(filter(Some("info,exeat::dns=debug")).unwrap().to_string(), "exeat::dns=debug,info");
    }
}

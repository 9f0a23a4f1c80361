//! How long a session is to live, as operators write it.

use jiff::{Span, SpanRelativeTo, Unit};
use std::time::Duration;

/// How long a session lives when nobody says otherwise.
pub const TTL_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// The longest that a minted session may live.
pub const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Why a time to live was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TtlError {
    /// No duration with units, or one in months or years, which have no fixed length.
    #[error("a time to live is written with units: 90s, 30m, 1h, 1h30m, 7d")]
    NotADuration,
    /// Less than a second, or negative.
    #[error("a session lives at least one second")]
    TooShort,
    /// More than 30 days.
    #[error("a session lives at most 30 days")]
    TooLong,
}

/// Reads `90s`, `30m`, `1h`, `1h30m`, `7d`: one second to 30 days.
pub fn parse_ttl(text: &str) -> Result<Duration, TtlError> {
    // ISO 8601 (`PT1H`) would be read too, and a sign: one spelling is enough.
    if !text.starts_with(|first: char| first.is_ascii_digit()) || text.len() > 64 {
        return Err(TtlError::NotADuration);
    }
    let span: Span = text.parse().map_err(|_| TtlError::NotADuration)?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(TtlError::NotADuration);
    }
    let seconds =
        span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).map_err(|_| TtlError::NotADuration)?;
    let ttl = Duration::try_from_secs_f64(seconds).map_err(|_| TtlError::TooShort)?;
    match ttl {
        ttl if ttl < Duration::from_secs(1) => Err(TtlError::TooShort),
        ttl if ttl > TTL_MAX => Err(TtlError::TooLong),
        ttl => Ok(ttl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_has_units_and_bounds() {
        for (text, seconds) in [
            ("1s", 1),
            ("90s", 90),
            ("30m", 1800),
            ("1h", 3600),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("7d", 604_800),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse_ttl(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, error) in [
            ("", TtlError::NotADuration),
            ("1", TtlError::NotADuration),
            ("3600", TtlError::NotADuration),
            ("h", TtlError::NotADuration),
            ("-1h", TtlError::NotADuration),
            ("1h ago", TtlError::TooShort),
            ("PT1H", TtlError::NotADuration),
            ("1month", TtlError::NotADuration),
            ("1y", TtlError::NotADuration),
            ("1x", TtlError::NotADuration),
            ("0s", TtlError::TooShort),
            ("10ms", TtlError::TooShort),
            ("31d", TtlError::TooLong),
            ("30d 1s", TtlError::TooLong),
            ("9999999999999h", TtlError::NotADuration),
        ] {
            assert_eq!(parse_ttl(text), Err(error), "{text}");
        }
    }
}

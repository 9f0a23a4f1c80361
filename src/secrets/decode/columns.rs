//! Dumps in every radix, as `od`, `xxd -b`, debuggers and PowerShell print them: lines that begin with their offset,
//! and cells of one width. In small texts only.

use super::may_stand;
use zeroize::Zeroizing;

/// The digits of an offset, and cells of a line at most.
const OFFSET: std::ops::RangeInclusive<usize> = 4..=16;
const MOST: u64 = 64;
/// Beyond so many blanks in a line its text follows.
const GAP: usize = 3;

/// How a cell says its bytes.
#[derive(Clone, Copy)]
struct Format {
    radix: u32,
    /// Digits; 0 where there may be one to three.
    digits: usize,
    bytes: usize,
    /// As most machines hold them: the last one first.
    is_little: bool,
}

const fn format(radix: u32, digits: usize, bytes: usize, is_little: bool) -> Format {
    Format { radix, digits, bytes, is_little }
}

const FORMATS: [Format; 10] = [
    format(16, 2, 1, false),
    format(16, 4, 2, true),
    format(16, 4, 2, false),
    format(16, 8, 4, true),
    format(16, 8, 4, false),
    format(16, 16, 8, true),
    format(8, 3, 1, false),
    format(8, 6, 2, true),
    format(10, 0, 1, false),
    format(2, 8, 1, false),
];

/// A line: its offset's digits, and what stands behind.
struct Line<'a> {
    offset: &'a str,
    cells: &'a [u8],
}

/// Finds text in dumps.
pub(in crate::secrets) fn dumps(text: &[u8], shortest: usize, wide: bool, each: &mut dyn FnMut(&[u8])) {
    let mut lines = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        match self::line(line) {
            Some(line) => lines.push(line),
            None if lines.is_empty() => {}
            None => {
                read(&lines, shortest, wide, each);
                lines.clear();
            }
        }
    }
    read(&lines, shortest, wide, each);
}

fn line(text: &[u8]) -> Option<Line<'_>> {
    let text = text.trim_ascii_start();
    let number = text.strip_prefix(b"0x").unwrap_or(text);
    let digits = number.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (offset, cells) = number.split_at_checked(digits).filter(|_| OFFSET.contains(&digits))?;
    let cells = cells.strip_prefix(b":").unwrap_or(cells);
    let is_apart = cells.first().is_none_or(u8::is_ascii_whitespace);
    let cells = cells.trim_ascii_start();
    let cells = cells.strip_prefix(b"- ").unwrap_or(cells);
    Some(Line { offset: std::str::from_utf8(offset).ok().filter(|_| is_apart)?, cells })
}

fn read(lines: &[Line<'_>], shortest: usize, wide: bool, each: &mut dyn FnMut(&[u8])) {
    if lines.is_empty() {
        return;
    }
    for radix in [16, 8, 10] {
        let offsets: Option<Vec<u64>> = lines.iter().map(|line| u64::from_str_radix(line.offset, radix).ok()).collect();
        let Some(offsets) = offsets else { continue };
        let steps: Vec<u64> = offsets.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
        if !steps.iter().all(|step| (1..=MOST).contains(step)) {
            continue;
        }
        // The last line has no more than the one before.
        let last = steps.last().copied().unwrap_or(MOST);
        for format in FORMATS {
            let mut bytes = Zeroizing::new(Vec::new());
            let counts = steps.iter().copied().chain([last]);
            let all = lines.iter().zip(counts).all(|(line, count)| format.read(line.cells, count as usize, &mut bytes));
            let is_text = bytes.iter().all(|byte| may_stand(*byte, wide));
            if all && is_text && bytes.len() >= shortest {
                each(&bytes);
            }
        }
        return;
    }
}

impl Format {
    /// Reads so many bytes of a line at the most; false where it has another format.
    fn read(self, cells: &[u8], count: usize, bytes: &mut Vec<u8>) -> bool {
        let is_blank = |byte: &u8| byte.is_ascii_whitespace() || (*byte == b'-' && self.radix == 16);
        let (from, mut rest) = (bytes.len(), cells);
        while bytes.len() < from + count && !rest.is_empty() {
            let length = rest.iter().take_while(|byte| !is_blank(byte)).count();
            let Some(number) = rest.get(..length).and_then(|cell| self.number(cell)) else {
                // Its text.
                return bytes.len() > from;
            };
            let all = number.to_le_bytes();
            let said = all.get(..self.bytes).unwrap_or_default();
            if self.is_little {
                bytes.extend_from_slice(said);
            } else {
                bytes.extend(said.iter().rev());
            }
            let behind = rest.get(length..).unwrap_or_default();
            let gap = behind.iter().take_while(|byte| is_blank(byte)).count();
            rest = behind.get(gap..).unwrap_or_default();
            if gap > GAP {
                break;
            }
        }
        bytes.truncate(from + count);
        true
    }

    fn number(self, cell: &[u8]) -> Option<u64> {
        let cell = std::str::from_utf8(cell).ok()?;
        let cell = if self.radix == 16 { cell.strip_prefix("0x").unwrap_or(cell) } else { cell };
        if self.digits == 0 {
            let is_signed = cell.starts_with('-');
            let number: u64 = cell.trim_start_matches('-').parse().ok().filter(|number| *number < 256)?;
            return Some(if is_signed { 256 - number } else { number });
        }
        u64::from_str_radix(cell, self.radix).ok().filter(|_| cell.len() == self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ghp_c0nR53vbNwvZ57YiuPRr0fm01p4f";

    fn dump(width: usize, line: &dyn Fn(usize, &[u8]) -> String) -> String {
        let lines = TEXT.as_bytes().chunks(width).enumerate();
        lines.map(|(number, bytes)| line(number * width, bytes) + "\n").collect()
    }

    fn cells(bytes: &[u8], show: &dyn Fn(u8) -> String, gap: &str) -> String {
        bytes.iter().map(|byte| show(*byte)).collect::<Vec<_>>().join(gap)
    }

    #[test]
    fn what_the_usual_tools_print_is_read() {
        let words = |bytes: &[u8], size: usize| -> Vec<u64> {
            bytes.chunks(size).map(|word| word.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))).collect()
        };
        let list =
            |words: Vec<u64>, show: &dyn Fn(u64) -> String| words.into_iter().map(show).collect::<Vec<_>>().join(" ");
        let hex = |byte: u8| format!("{byte:02x}");
        for text in [
            dump(16, &|at, bytes| format!("{at:07o} {}", list(words(bytes, 2), &|word| format!("{word:06o}")))),
            dump(16, &|at, bytes| format!("{at:07o} {}", cells(bytes, &|byte| format!("{byte:03o}"), " "))),
            dump(16, &|at, bytes| format!("{at:07o} {}", cells(bytes, &|byte| format!("{byte:4}"), " "))),
            dump(16, &|at, bytes| format!("{at:08x}: {}  ghp_", list(words(bytes, 4), &|word| format!("{word:08x}")))),
            dump(6, &|at, bytes| format!("{at:08x}: {}  abcdef", cells(bytes, &|byte| format!("{byte:08b}"), " "))),
            dump(8, &|at, bytes| {
                format!("0x{:x}:\t{}", 0x7ffe_0000 + at, cells(bytes, &|byte| format!("0x{byte:02x}"), "\t"))
            }),
            dump(16, &|at, bytes| {
                let (a, b) = bytes.split_at(8);
                format!("{at:04x} - {}-{}   ab.cd", cells(a, &hex, " "), cells(b, &hex, " "))
            }),
            dump(16, &|at, bytes| format!("{at:016X} {} ghp_ ab cd", cells(bytes, &|byte| format!("{byte:02X}"), " "))),
            dump(16, &|at, bytes| format!("{at:04x}   {}   ab cd", cells(bytes, &hex, " "))),
        ] {
            let mut found = Vec::new();
            let text = format!("here it is:\n{text}\n");
            dumps(text.as_bytes(), 16, false, &mut |bytes| found.push(String::from_utf8_lossy(bytes).into_owned()));
            assert!(found.iter().any(|found| found == TEXT), "{text} {found:?}");
        }
    }

    #[test]
    fn tables_and_dates_are_none() {
        let text = "2024 101 102 103\n2025 104 105 106\n2026 107 108 109\ndeadbeef: 1\n00000000 00 01 02 03\n";
        dumps(text.as_bytes(), 16, false, &mut |bytes| panic!("{bytes:?}"));
    }
}

//! How far texts are alike at their edges: lines that hold pieces of one secret begin and end in the same way.

/// How far two texts are alike, up to the last sign in each: numbers are all the same.
pub(super) fn alike(a: &[u8], b: &[u8]) -> (usize, usize) {
    alike_by(a.len(), b.len(), |at| a.get(at).copied().unwrap_or(0), |at| b.get(at).copied().unwrap_or(0))
}

/// The same from their ends on.
pub(super) fn alike_ends(a: &[u8], b: &[u8]) -> (usize, usize) {
    let back =
        |text: &[u8], at: usize| text.len().checked_sub(at + 1).and_then(|at| text.get(at).copied()).unwrap_or(0);
    alike_by(a.len(), b.len(), |at| back(a, at), |at| back(b, at))
}

fn alike_by(a: usize, b: usize, x: impl Fn(usize) -> u8, y: impl Fn(usize) -> u8) -> (usize, usize) {
    let (mut i, mut j, mut edge) = (0, 0, (0, 0));
    while i < a && j < b {
        let (left, right) = (x(i), y(j));
        if left.is_ascii_digit() && right.is_ascii_digit() {
            while i < a && x(i).is_ascii_digit() {
                i += 1;
            }
            while j < b && y(j).is_ascii_digit() {
                j += 1;
            }
            continue;
        }
        if left != right {
            break;
        }
        (i, j) = (i + 1, j + 1);
        if !left.is_ascii_alphanumeric() && !matches!(left, b'_' | b'+') {
            edge = (i, j);
        }
    }
    edge
}

//! Text written as one number in decimal, its first byte the highest: what `int.from_bytes` gives.

use super::may_stand;
use zeroize::Zeroizing;

/// Longer numbers are none.
const LONGEST: usize = 1200;
/// Digits that are taken at once.
const DIGITS: usize = 9;

/// Finds text of so many bytes in numbers.
pub(in crate::secrets) fn numbers(text: &[u8], shortest: usize, wide: bool, each: &mut dyn FnMut(&[u8])) {
    for number in text.split(|byte| !byte.is_ascii_digit()) {
        // A byte of text has more than two digits.
        if (2 * shortest..=LONGEST).contains(&number.len()) && number.first() != Some(&b'0') {
            let bytes = bytes(number);
            if bytes.len() >= shortest && bytes.iter().all(|byte| may_stand(*byte, wide)) {
                each(&bytes);
            }
        }
    }
}

/// The bytes of a number, the highest first.
fn bytes(number: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut limbs: Zeroizing<Vec<u32>> = Zeroizing::new(Vec::new());
    for digits in number.chunks(DIGITS) {
        let (scale, add) = digits
            .iter()
            .fold((1u64, 0u64), |(scale, value), digit| (scale * 10, value * 10 + u64::from(digit - b'0')));
        let mut carry = add;
        for limb in limbs.iter_mut() {
            carry += u64::from(*limb) * scale;
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let all = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes());
    Zeroizing::new(all.skip_while(|byte| *byte == 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_its_bytes_and_others_say_nothing() {
        let mut found = Vec::new();
        // Of `int.from_bytes(b"ghp_c0nR53vbNwvZ57YiuPRr", "big")`.
        let text = "n = 2535555915946484346644545577805092611225438176074045346418 ok";
        numbers(text.as_bytes(), 16, false, &mut |bytes| found.push(String::from_utf8_lossy(bytes).into_owned()));
        assert_eq!(found, ["ghp_c0nR53vbNwvZ57YiuPRr"]);
        let pi =
            "31415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679";
        numbers(pi.as_bytes(), 16, false, &mut |bytes| panic!("{bytes:?}"));
    }
}

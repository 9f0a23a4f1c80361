//! What looks like a credential and is none: public identifiers, and what documentation prints.

use super::*;

#[test]
fn a_public_identifier_is_no_finding_anywhere() {
    let guard = guard(Settings::default());
    let catalogue = Catalogue::builtin().unwrap();
    assert!(catalogue.public.len() > 20);
    for public in &catalogue.public {
        assert!(!public.examples.is_empty(), "{}", public.id);
        for text in &public.examples {
            let (found, _, stopped) = body_of(&guard, &host("evil.example"), &[text.as_bytes()]);
            assert_eq!((found.len(), stopped), (0, None), "{}: {found:?}", public.id);
            let only = Catalogue { public: vec![public.clone()], ..Catalogue::default() };
            assert!(Scanner::new(only).is_ok(), "{}", public.id);
        }
    }
}

#[test]
fn a_secret_beside_a_public_identifier_is_found() {
    let guard = guard(Settings::default());
    let public = "pk_live_c0nR53vbNwvZ57YiuPRr0fm01p4fCm2U";
    for text in [format!("{public} {PAT}"), format!("{PAT},{public}"), format!("{{\"{public}\":\"{PAT}\"}}")] {
        let (found, _, stopped) = body_of(&guard, &host("evil.example"), &[text.as_bytes()]);
        assert!(stopped.is_some() && found.len() == 1, "{found:?}");
    }
}

#[test]
fn a_documented_example_goes_to_a_model_and_is_found_elsewhere() {
    let guard = guard(Settings::default());
    let text = "STRIPE_KEY=sk_test_4eC39HqLyjWDarjtT1zdp7dc in the docs";
    for (name, found) in
        [("api.anthropic.com", 0), ("github.com", 0), ("evil.example", 1), ("github.com.evil.example", 1)]
    {
        assert_eq!(body_of(&guard, &host(name), &[text.as_bytes()]).0.len(), found, "{name}");
    }
}

use super::*;

/// A load of which so much is under way.
fn load(under_way: usize, stage: Stage) -> Load {
    let load = Load::default();
    (0..under_way).for_each(|_| load.resume());
    load.stage.store(stage as u8, Ordering::Relaxed);
    load
}

fn begins(load: &Load) -> bool {
    matches!(load.begin(None), Begin::Now)
}

#[test]
fn a_piece_of_work_takes_the_place_of_one_that_ends_unless_what_is_left_waits_too_long() {
    let load = load(9, Stage::Refused);
    assert!(load.is_full() && !begins(&load));
    load.end();
    assert!(!load.is_full() && begins(&load) && !begins(&load));
    load.let_in(May::Nothing, 9);
    load.end();
    assert!(!begins(&load));
    load.let_in(May::Replace(1), 9);
    load.end();
    assert!(begins(&load) && begins(&load) && !begins(&load));
}

#[test]
fn room_that_was_not_taken_is_not_saved_up() {
    let load = load(FEWEST, Stage::Refused);
    (0..100).for_each(|_| load.let_in(May::Replace(2), 5));
    assert_eq!((0..100).filter(|_| begins(&load)).count(), 5);
    (0..100).for_each(|_| load.let_in(May::Replace(2), 5));
    load.let_in(May::Nothing, 5);
    assert!(load.is_full());
}

#[test]
fn there_is_always_something_to_do_however_much_is_refused() {
    let load = load(FEWEST, Stage::Refused);
    load.let_in(May::Nothing, 9);
    load.end();
    assert!(!load.is_full() && begins(&load) && !begins(&load));
}

#[test]
fn what_others_send_is_no_reason_to_refuse_all_of_a_session() {
    let load = load(9, Stage::Refused);
    let (id, under_way) = ("b".parse().unwrap(), Arc::default());
    let whose = Whose { id: &id, under_way: &under_way };
    let Begin::Later(mut turn) = load.begin(Some(whose)) else { panic!("it does not wait") };
    assert!(matches!(load.begin(Some(whose)), Begin::Never), "one of its waits");
    assert!(!begins(&load));
    load.end();
    assert!(turn.try_recv().is_ok() && !begins(&load), "the place is its");
    under_way.store(1, Ordering::Relaxed);
    assert!(matches!(load.begin(Some(whose)), Begin::Never), "one of its is under way");
}

#[test]
fn what_waits_takes_the_place_of_what_ends_and_is_refused_or_let_in_with_all_others() {
    let join = |load: &Load| match load.begin(None) {
        Begin::Later(turn) => turn,
        _ => panic!("it does not wait"),
    };
    let load = load(9, Stage::Waits);
    let (mut first, mut second) = (join(&load), join(&load));
    load.end();
    assert!(first.try_recv().is_ok() && !begins(&load));
    load.let_in(May::Nothing, 9);
    load.end();
    assert!(second.try_recv().is_err());
    load.let_all_in(Stage::Waits as u8);
    assert!(second.try_recv().is_ok() && begins(&load));
}

/// As after a wait that has been too long.
fn waited(load: &Load) {
    load.long.since.store(1, Ordering::Relaxed);
    let ended = Instant::now() + LASTING;
    while Instant::now() < ended {
        std::hint::spin_loop();
    }
}

#[test]
fn few_pieces_of_work_are_never_too_many() {
    let (few, many) = (load(FEW - 1, Stage::Begins), load(FEW, Stage::Begins));
    [&few, &many].into_iter().for_each(waited);
    assert!(begins(&few));
    assert!(matches!(many.begin(None), Begin::Later(_)) && !many.is_full());
}

#[test]
fn what_waits_for_others_does_not_take_away_what_is_never_too_many() {
    let load = load(2 * FEW - 1, Stage::Begins);
    (0..FEW).for_each(|_| load.pause());
    waited(&load);
    assert!(begins(&load), "so many have something to do, and no more");
    load.go_on();
    assert!(!begins(&load));
}

#[test]
fn the_system_tells_the_time_of_the_processors() {
    let before = cpu_time();
    let mut sum = 0u64;
    while cpu_time() == before {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
}

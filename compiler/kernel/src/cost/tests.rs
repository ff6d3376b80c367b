//! What is chosen, and that costs follow what they are made of.

use super::*;

/// The form of the least cost for a convolution of 3×3 over four timesteps.
fn chosen(channels: usize, rate: f32, fires: Option<f32>, steps: usize) -> Form {
    let work = Work { inputs: channels, taps: 9, stride: 1, outputs: channels, steps, positions: 512 };
    cheapest(Form::CHOSEN, Activity { rate, fires }, &work).unwrap_or(Form::Dense)
}

#[test]
fn spikes_that_repeat_are_shared_where_there_are_many() {
    // As in a trained network: 2.4 spikes of a neuron that fires.
    for (channels, form) in [(32, Form::Walk), (64, Form::Shared), (128, Form::Shared), (512, Form::Shared)] {
        assert_eq!(chosen(channels, 0.25, Some(0.42), 4), form, "{channels} channels");
    }
    for (rate, fires, steps) in
        [(0.25, None, 4), (0.25, Some(0.9), 4), (0.05, Some(0.08), 4), (0.25, Some(0.25), 1)]
    {
        assert_eq!(chosen(128, rate, fires, steps), Form::Walk, "{rate}, {fires:?}, {steps} timesteps");
    }
    assert_eq!(chosen(128, 0.2, Some(0.25), 2), Form::Shared);
    assert_eq!(chosen(256, 0.2, None, 4), Form::Walk);
    assert_eq!(chosen(256, 0.15, Some(0.6), 4), Form::Walk);
    assert_eq!(chosen(32, 0.25, Some(0.33), 4), Form::Walk);
    assert_eq!(chosen(128, 0.02, Some(0.03), 4), Form::Walk);
}

/// The forms that there are beside the shared one.
const OTHERS: [Form; 3] = [Form::Walk, Form::Patterns, Form::Grouped];

#[test]
fn patterns_are_for_wide_layers_whose_spikes_repeat() {
    let chosen = |channels: usize, rate: f32, fires: Option<f32>, steps: usize| {
        let work = Work { inputs: channels, taps: 9, stride: 1, outputs: channels, steps, positions: 512 };
        cheapest(OTHERS, Activity { rate, fires }, &work).unwrap_or(Form::Dense)
    };
    assert_eq!(chosen(128, 0.25, Some(0.33), 4), Form::Patterns);
    assert_eq!(chosen(256, 0.2, Some(0.25), 4), Form::Patterns);
    // Nothing is known of how spikes repeat, nothing repeats, or there is no time.
    assert_eq!(chosen(256, 0.2, None, 4), Form::Walk);
    assert_eq!(chosen(256, 0.15, Some(0.6), 4), Form::Walk);
    assert_eq!(chosen(256, 0.2, Some(0.2), 1), Form::Walk);
    // The work of lists is not worth few channels.
    assert_eq!(chosen(32, 0.25, Some(0.33), 4), Form::Walk);
    assert_eq!(chosen(32, 0.35, Some(0.46), 4), Form::Grouped);
    assert_eq!(chosen(64, 0.15, Some(0.25), 4), Form::Walk);
    assert_eq!(chosen(128, 0.4, Some(0.65), 4), Form::Grouped);
    assert_eq!(chosen(128, 0.02, Some(0.03), 4), Form::Walk);
}

/// Of neurons that fire once each walk has a part of them, and more is walked over than without; of those that always fire
/// one walk has all.
#[test]
fn shared_walks_have_as_many_bits_as_there_are_rows() {
    let rows = |rate, fires, steps: usize| {
        let (rate, walks) = shared_walks(Activity { rate, fires: Some(fires) }, steps);
        f64::from(rate) * walks * steps as f64
    };
    for (given, expected) in
        [((0.1, 0.4, 4), 0.4), ((0.4, 0.4, 4), 0.4), ((0.3, 0.4, 2), 0.4), ((0.24, 0.4, 4), 0.57)]
    {
        let (rate, fires, steps) = given;
        assert!(
            (rows(rate, fires, steps) - expected).abs() < 0.01,
            "{given:?}: {}",
            rows(rate, fires, steps)
        );
    }
}

#[test]
fn an_unknown_share_is_the_largest_there_can_be() {
    for (rate, steps) in [(0.02, 4), (0.1, 4), (0.2, 2), (0.3, 4), (0.6, 4), (0.1, 8), (0.9, 3)] {
        let work = Work { inputs: 128, taps: 9, stride: 1, outputs: 128, steps, positions: 512 };
        let cost = |fires| cycles_per_add(Form::Patterns, Activity { rate, fires }, &work, CHOSEN_FOR);
        let most = (rate * steps as f32).min(1.0);
        assert!(cost(None).is_finite() && cost(None) == cost(Some(most)), "rate {rate}, {steps} timesteps");
        assert!(cost(Some(most / 4.0)) < cost(None), "rate {rate}, {steps} timesteps");
        for channels in [16, 64, 128, 512] {
            assert_ne!(chosen(channels, rate, None, steps), Form::Patterns, "{channels} channels at {rate}");
        }
    }
}

/// Where a table is a little cheaper with 512 bits, machines with smaller caches decide.
#[test]
fn a_table_has_to_gain_a_sixth() {
    let input = |rate| Activity { rate, fires: None };
    for (channels, little, enough) in [(32, 0.28, 0.35), (64, 0.29, 0.4), (128, 0.33, 0.4)] {
        let work = Work { inputs: channels, taps: 9, stride: 1, outputs: channels, steps: 4, positions: 512 };
        let cost = |form, rate| cycles_per_add(form, input(rate), &work, CHOSEN_FOR);
        assert!(cost(Form::Grouped, little) < cost(Form::Walk, little), "{channels} channels");
        assert_eq!(chosen(channels, little, None, 4), Form::Walk, "{channels} channels");
        assert_eq!(chosen(channels, enough, None, 4), Form::Grouped, "{channels} channels");
    }
}

/// What is measured on one core of a Zen 5 machine (`cargo bench --bench masked_add`, 2.2 or 2.8 spikes of a neuron that
/// fires) says of each of these that lists by pattern are not worth their making.
#[test]
fn patterns_are_not_for_few_spikes_nor_few_outputs() {
    let form = |inputs: usize, outputs: usize, stride: usize, rate: f32| {
        let work = Work { inputs, taps: 9, stride, outputs, steps: 4, positions: 512 };
        let input = Activity { rate, fires: Some(rate * 4.0 / 2.8) };
        cheapest(OTHERS, input, &work)
    };
    assert_eq!(form(128, 128, 1, 0.05), Some(Form::Walk));
    assert_eq!(form(256, 256, 1, 0.05), Some(Form::Walk));
    assert_eq!(form(128, 64, 1, 0.1), Some(Form::Walk));
    assert_eq!(form(128, 64, 1, 0.15), Some(Form::Walk));
    assert_eq!(form(128, 128, 1, 0.28), Some(Form::Patterns));
    assert_eq!(form(128, 256, 2, 0.35), Some(Form::Walk));
}

#[test]
fn parts_fill_the_second_cache() {
    let words = [(9, 128), (9, 64), (1, 128), (49, 128)].map(|(taps, lanes)| pattern_words(taps, lanes));
    assert_eq!(words, [2, 4, 16, 1]);
}

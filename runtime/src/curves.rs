//! Curves as SVG, panels of two columns on one sheet: those of a run (loss, accuracy, learning rate and firing rates over
//! epochs), and any others.

use crate::metrics::EpochRecord;

/// Size of a panel with its margins, and of the margins alone.
const PANEL: (f64, f64) = (440.0, 280.0);
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
/// Height of the sheet's title.
const HEAD: f64 = 30.0;

/// Colours that also those tell apart who do not see all of them (Okabe and Ito).
const COLORS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];

/// Where names take more letters than this, lines are not named one by one.
const LETTERS: usize = 54;

/// About the width of a letter.
const LETTER: f64 = 5.8;

/// Draws the records of a run.
pub fn draw(title: &str, records: &[EpochRecord]) -> String {
    let line = |name: &str, value: &dyn Fn(&EpochRecord) -> f64| Line {
        name: name.to_string(),
        points: records.iter().map(|r| (r.epoch as f64, value(r))).collect(),
    };
    let percent = |name: &str, value: fn(&EpochRecord) -> f64| line(name, &|r| value(r) * 100.0);
    let layers =
        records.first().map_or(vec![], |r| r.firing_rates.0.iter().map(|(layer, _)| layer).collect());
    let rate = |layer: &str, r: &EpochRecord| {
        let found = r.firing_rates.0.iter().find(|(name, _)| name == layer);
        found.map_or(f64::NAN, |(_, rate)| rate * 100.0)
    };
    let panels = [
        ("loss", vec![line("train", &|r| r.train_loss), line("test", &|r| r.test_loss)]),
        (
            "accuracy %",
            vec![
                percent("train", |r| r.train_accuracy),
                percent("test", |r| r.test_accuracy),
                percent("test, best 5", |r| r.test_top5),
            ],
        ),
        ("learning rate", vec![line("lr", &|r| r.lr)]),
        ("firing rate %", layers.into_iter().map(|layer| line(layer, &|r| rate(layer, r))).collect()),
    ];
    sheet(title, &panels.map(|(name, lines)| Panel { name: name.into(), along: "epoch".into(), lines }))
}

/// Draws panels on one sheet.
pub fn sheet(title: &str, panels: &[Panel]) -> String {
    let (width, height) = (2.0 * PANEL.0, HEAD + panels.len().div_ceil(2) as f64 * PANEL.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"20\" font-size=\"15\" text-anchor=\"middle\">{}</text>\n",
        width / 2.0,
        escaped(title)
    );
    for (at, one) in panels.iter().enumerate() {
        let (x, y) = ((at % 2) as f64 * PANEL.0, HEAD + (at / 2) as f64 * PANEL.1);
        svg += &format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", panel(one));
    }
    svg + "</svg>\n"
}

/// Curves over one axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Panel {
    /// The title, which says what the curves are of.
    pub name: String,
    /// What the axis below counts.
    pub along: String,
    /// The curves.
    pub lines: Vec<Line>,
}

/// A curve: its name and points.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// The name.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// Points that can be drawn.
    fn finite(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().copied().filter(|(_, y)| y.is_finite())
    }
}

/// From values to places of a panel.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn of(lines: &[Line]) -> Scale {
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (left, right) = range(&mut lines.iter().flat_map(|line| line.finite().map(|(x, _)| x)));
        let (_, high) = range(&mut lines.iter().flat_map(|line| line.finite().map(|(_, y)| y)));
        let (low, _) = range(&mut lines.iter().flat_map(|line| line.finite().map(|(_, y)| y)));
        // All that is drawn is at least 0, where its axis begins; a loss may be below.
        let (low, high) = (low.min(0.0), if high > low.min(0.0) { high * 1.05 } else { low.min(0.0) + 1.0 });
        let right = if right > left { right } else { left + 1.0 };
        if left.is_finite() {
            Scale { x: (left, right), y: (low, high) }
        } else {
            Scale { x: (0.0, 1.0), y: (0.0, 1.0) }
        }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |v: f64, (low, high): (f64, f64)| (v - low) / (high - low);
        let (width, height) = (PANEL.0 - LEFT - RIGHT, PANEL.1 - TOP - BOTTOM);
        (LEFT + part(x, self.x) * width, TOP + (1.0 - part(y, self.y)) * height)
    }
}

/// Round numbers of a range, about `count` of them.
fn ticks((low, high): (f64, f64), count: f64, whole: bool) -> Vec<f64> {
    let rough = ((high - low) / count).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    let step = if whole { step.max(1.0) } else { step };
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|v| *v <= high + step * 1e-9).take(64).collect()
}

/// A number as short as its axis allows.
fn label(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn panel(Panel { name, along, lines }: &Panel) -> String {
    let scale = Scale::of(lines);
    let (left, bottom) = (LEFT, PANEL.1 - BOTTOM);
    let right = PANEL.0 - RIGHT;
    let mut svg = format!("<text x=\"{left}\" y=\"20\" font-size=\"13\">{}</text>\n", escaped(name));
    for value in ticks(scale.y, 5.0, false) {
        let (_, y) = scale.place((scale.x.0, value));
        svg += &format!("<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"#dddddd\"/>\n");
        let (x, y) = (left - 6.0, y + 4.0);
        svg += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>\n", label(value));
    }
    for value in ticks(scale.x, 8.0, true) {
        let (x, _) = scale.place((value, scale.y.0));
        let y = bottom + 16.0;
        svg += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>\n", label(value));
    }
    let (middle, y) = ((left + right) / 2.0, bottom + 32.0);
    svg +=
        &format!("<text x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>\n", escaped(along));
    svg += &format!(
        "<path d=\"M{left:.1} {TOP:.1}V{bottom:.1}H{right:.1}\" fill=\"none\" stroke=\"#444444\"/>\n"
    );
    for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
        svg += &curve(line, &scale, color);
    }
    svg + &legend(lines)
}

fn curve(line: &Line, scale: &Scale, color: &str) -> String {
    let places: Vec<String> = line
        .finite()
        .map(|point| {
            let (x, y) = scale.place(point);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let title = format!("<title>{}</title>", escaped(&line.name));
    match places.as_slice() {
        [one] => {
            let (x, y) = one.split_once(',').unwrap_or_default();
            format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"{color}\">{title}</circle>\n")
        }
        many => format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\">{title}</polyline>\n",
            many.join(" ")
        ),
    }
}

/// Names of the lines beside the panel's title, away from the curves; where they are too many, how many.
fn legend(lines: &[Line]) -> String {
    let letters: usize = lines.iter().map(|line| line.name.chars().count() + 2).sum();
    let mut x = PANEL.0 - RIGHT;
    let mut text = |name: &str, color: &str| {
        let text = format!(
            "<text x=\"{x:.1}\" y=\"20\" text-anchor=\"end\" fill=\"{color}\">{}</text>\n",
            escaped(name)
        );
        x -= (name.chars().count() + 2) as f64 * LETTER;
        text
    };
    if letters > LETTERS {
        return text(&format!("{} layers (names as tooltips)", lines.len()), "#444444");
    }
    let colored: Vec<_> = lines.iter().zip(COLORS.iter().cycle()).collect();
    // From the right, so the last comes first.
    colored.into_iter().rev().map(|(line, color)| text(&line.name, color)).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::FiringRates;

    fn records(epochs: usize) -> Vec<EpochRecord> {
        let record = |epoch: usize| EpochRecord {
            epoch,
            lr: 0.1,
            train_loss: 2.0 / epoch as f64,
            test_loss: 1.0,
            firing_rates: FiringRates(vec![("a<b".to_string(), 0.25)]),
            ..EpochRecord::default()
        };
        (1..=epochs).map(record).collect()
    }

    #[test]
    fn each_record_is_a_point_of_each_curve() {
        let svg = draw("run & more", &records(5));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("run &amp; more") && svg.contains("<title>a&lt;b</title>"));
        let curves: Vec<&str> = svg.split("<polyline points=\"").skip(1).collect();
        assert_eq!(curves.len(), 7);
        assert!(
            curves.iter().all(|curve| curve.split('"').next().is_some_and(|p| p.split(' ').count() == 5))
        );
        // The loss falls: on the sheet its curve goes down.
        let ys: Vec<f64> = curves[0]
            .split('"')
            .next()
            .into_iter()
            .flat_map(|points| points.split(' '))
            .filter_map(|point| point.split_once(',')?.1.parse().ok())
            .collect();
        assert!(ys.windows(2).all(|pair| pair[0] < pair[1]), "{ys:?}");
    }

    #[test]
    fn one_epoch_no_epoch_and_values_that_are_no_numbers_are_drawn() {
        assert_eq!(draw("one", &records(1)).matches("<circle").count(), 7);
        let mut records = records(3);
        records[1].test_loss = f64::NAN;
        for svg in [draw("none", &[]), draw("gap", &records)] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_sheet_has_the_panels_it_is_given() {
        let lines = vec![Line { name: "walk".into(), points: vec![(1.0, 2.0), (4.0, 8.0)] }];
        let panel = Panel { name: "ms an image".into(), along: "batch".into(), lines };
        let height = |panels: &[Panel]| {
            let svg = sheet("costs", panels);
            assert_eq!(svg.matches(">batch</text>").count(), panels.len());
            assert_eq!(svg.matches("<polyline").count(), panels.len());
            svg.split("height=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse::<f64>().ok())
        };
        let (two, three) = (vec![panel.clone(); 2], vec![panel; 3]);
        assert_eq!(height(&two).zip(height(&three)).map(|(a, b)| b - a), Some(PANEL.1));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks((0.0, 10.0), 5.0, false), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks((1.0, 3.0), 8.0, true), [1.0, 2.0, 3.0]);
        let shown: Vec<String> = [0.0, 0.25, 100.0, 0.0001, -2.5].into_iter().map(label).collect();
        assert_eq!(shown, ["0", "0.25", "100", "1e-4", "-2.5"]);
    }
}

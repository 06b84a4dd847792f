//! Charts as SVG inside the page.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 160.0;
const MARGIN: f64 = 40.0;

/// One line of a chart: what it is called, and its values.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<f64>,
}

/// Values side by side, as lines; nothing if there are none.
pub(super) fn lines(title: &str, unit: &str, series: &[Series<'_>]) -> String {
    let most = series.iter().flat_map(|series| &series.values).copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let mut svg = open(title, unit, most);
    for (index, series) in series.iter().enumerate() {
        let last = series.values.len().saturating_sub(1).max(1) as f64;
        let points: Vec<String> = series
            .values
            .iter()
            .enumerate()
            .map(|(at, value)| format!("{:.1},{:.1}", x(at as f64 / last), y(value / most)))
            .collect();
        // A `String` takes all that is written to it.
        let _ = write!(svg, "<polyline class=\"s{index}\" points=\"{}\"/>", points.join(" "));
        let _ = write!(
            svg,
            "<text class=\"k{index}\" x=\"{}\" y=\"14\">{}</text>",
            MARGIN + 120.0 * index as f64,
            series.name
        );
    }
    svg + "</svg></figure>\n"
}

/// When each thing was sent, and when it came.
pub(super) fn arrivals(title: &str, sent: &[f64], came: &[f64]) -> String {
    let most = sent.iter().chain(came).copied().fold(0.0, f64::max);
    if most <= 0.0 || came.is_empty() {
        return String::new();
    }
    let mut svg = open(title, "ms", most);
    let last = sent.len().saturating_sub(1).max(1) as f64;
    for (at, (sent, came)) in sent.iter().zip(came).enumerate() {
        let (x, from, to) = (x(at as f64 / last), y(sent / most), y(came / most));
        let _ =
            write!(svg, "<line class=\"s1\" x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\"/>");
        let _ = write!(svg, "<circle class=\"d0\" cx=\"{x:.1}\" cy=\"{to:.1}\" r=\"3\"/>");
    }
    svg + "</svg></figure>\n"
}

fn open(title: &str, unit: &str, most: f64) -> String {
    format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><path class=\"axis\" d=\"M{MARGIN} 20V{bottom}H{WIDTH}\"/>\
         <text x=\"{label}\" y=\"26\" text-anchor=\"end\">{most:.0}</text><text x=\"{label}\" y=\"{bottom}\" text-anchor=\"end\">0 {unit}</text>",
        bottom = HEIGHT - 20.0,
        label = MARGIN - 4.0,
    )
}

fn x(part: f64) -> f64 {
    MARGIN + part * (WIDTH - MARGIN - 4.0)
}

fn y(part: f64) -> f64 {
    (HEIGHT - 20.0) - part.clamp(0.0, 1.0) * (HEIGHT - 40.0)
}

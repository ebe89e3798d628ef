//! All that a process measures, written as OpenMetrics text, which Prometheus reads.

use crate::count;
use crate::limit::Limit;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;

/// Media type of the text (OpenMetrics 1.0).
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What every name begins with.
pub const PREFIX: &str = "credence";

/// What a process measures.
#[derive(Debug)]
pub struct Board {
    registry: Registry,
}

impl Board {
    /// A board with the counters of these limits.
    pub fn new(limits: Vec<&'static Limit>) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(Limits(limits)));
        registry.register_collector(Box::new(Exports));
        Self { registry }
    }

    /// Where metrics are registered.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The text, as it is now.
    ///
    /// # Errors
    /// A metric that cannot be written, which is a bug of its encoder.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The metrics of a text as a table for people (Markdown).
pub fn metrics_table(text: &str) -> String {
    let mut table = String::from("| metric | type | what it says |\n|---|---|---|\n");
    let mut help = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            table += &format!("| `{name}{suffix}` | {kind} | {} |\n", help.trim_end_matches('.'));
        }
    }
    table
}

/// Limits as a table for people (Markdown).
pub fn limits_table(limits: &[&Limit]) -> String {
    let row = |limit: &&Limit| format!("| `{}` | {} {} | {} |\n", limit.name, limit.value, limit.unit, limit.then);
    let head = "| limit | allows | beyond it |\n|---|---|---|\n";
    limits.iter().fold(head.to_owned(), |table, limit| table + &row(limit))
}

/// What became of what was sent to a collector; zero without one.
#[derive(Debug)]
struct Exports;

impl Collector for Exports {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in count::counts() {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Limits(Vec<&'static Limit>);

impl Collector for Limits {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counter = ConstCounter::new(0_u64);
        let help = "How often a limit was reached since the process began.";
        let mut family = encoder.encode_descriptor("limit_hits", help, None, counter.metric_type())?;
        for limit in &self.0 {
            ConstCounter::new(limit.hits()).encode(family.encode_family(&[("limit", limit.name)])?)?;
        }
        let gauge = ConstGauge::new(0_i64);
        let help = "What a limit allows.";
        let mut family = encoder.encode_descriptor("limit", help, None, gauge.metric_type())?;
        for limit in &self.0 {
            let value = i64::try_from(limit.in_force()).unwrap_or(i64::MAX);
            let labels = [("limit", limit.name), ("unit", limit.unit)];
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, limits_table, metrics_table};
    use crate::limit::Limit;

    static DOORS: Limit = Limit::new("doors", 2, "doors", "the third waits");

    #[test]
    fn a_limit_is_shown_before_it_is_reached_and_counted_after() {
        let board = Board::new(vec![&DOORS]);
        let before = board.text().expect("a text");
        assert!(before.contains("credence_limit_hits_total{limit=\"doors\"} 0\n"), "{before}");
        assert!(before.contains("credence_limit{limit=\"doors\",unit=\"doors\"} 2\n"), "{before}");
        DOORS.lower(1);
        DOORS.lower(3);
        DOORS.hit();
        let after = board.text().expect("a text");
        assert!(after.contains("credence_limit_hits_total{limit=\"doors\"} 1\n"), "{after}");
        assert!(after.contains("credence_limit{limit=\"doors\",unit=\"doors\"} 1\n"), "{after}");
        let table = metrics_table(&before);
        assert!(table.contains("| `credence_limit_hits_total` | counter | How often"), "{table}");
        assert!(limits_table(&[&DOORS]).ends_with("| `doors` | 2 doors | the third waits |\n"));
    }
}

//! Metrics, every so often: what stands on the page, so that each has one definition and one name.

use super::{Collector, nanos, text};
use crate::clock;
use crate::door::Observed;
use credence_wire::opentelemetry::collector::metrics::v1::ExportMetricsServiceRequest;
use credence_wire::opentelemetry::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use credence_wire::opentelemetry::common::v1::{InstrumentationScope, KeyValue};
use credence_wire::opentelemetry::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Tells what is observed, until the end and then once more.
pub(super) async fn tell(
    collector: Collector,
    every: Duration,
    observed: Arc<dyn Observed>,
    mut ending: watch::Receiver<bool>,
) {
    let mut client = MetricsServiceClient::new(collector.channel.clone());
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            told = ending.wait_for(|ending| *ending) => {
                if told.is_err() {
                    return;
                }
                true
            }
        };
        // A page that cannot be written is a bug that whoever reads it is told; there is nothing to tell here.
        if let Ok(page) = observed.metrics().await {
            let request = ExportMetricsServiceRequest { resource_metrics: vec![told(&collector, &page)] };
            // What one call loses the next one tells: everything counts from the beginning.
            let _ = collector.call("metrics", client.export(request)).await;
        }
        if is_last {
            return;
        }
    }
}

fn told(collector: &Collector, page: &str) -> ResourceMetrics {
    let scope = InstrumentationScope { name: "credence".to_owned(), ..InstrumentationScope::default() };
    let metrics = read(page, nanos(collector.since), nanos(clock::wall()));
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    ResourceMetrics { resource: Some(collector.resource.clone()), scope_metrics, ..ResourceMetrics::default() }
}

/// What a family of the page is; of other types there are none.
#[derive(Clone, Copy, PartialEq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

/// A family that is being read.
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    of: Type,
    /// By labels, as they are written.
    numbers: Vec<(&'a str, f64)>,
    histograms: BTreeMap<String, HistogramDataPoint>,
}

/// Reads our own page (OpenMetrics 1.0 text). What it does not know it leaves out.
pub(super) fn read(page: &str, since: u64, now: u64) -> Vec<Metric> {
    let (mut metrics, mut help, mut family) = (Vec::new(), ("", ""), None::<Family<'_>>);
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap_or((rest, ""));
        } else if let Some((name, of)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            metrics.extend(family.take().map(|family| family.metric(since, now)));
            let help = if help.0 == name { help.1 } else { "" };
            family = kind(of).map(|of| Family { name, help, of, numbers: Vec::new(), histograms: BTreeMap::new() });
        } else if !line.starts_with('#')
            && let Some(family) = &mut family
            && let Some((sample, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse()
        {
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            family.take(name, labels.strip_suffix('}').unwrap_or(labels), value);
        }
    }
    metrics.extend(family.map(|family| family.metric(since, now)));
    metrics
}

fn kind(name: &str) -> Option<Type> {
    match name {
        "counter" => Some(Type::Counter),
        "gauge" => Some(Type::Gauge),
        "histogram" => Some(Type::Histogram),
        _ => None,
    }
}

impl<'a> Family<'a> {
    fn take(&mut self, sample: &str, labels: &'a str, value: f64) {
        let Some(part) = sample.strip_prefix(self.name) else { return };
        if self.of != Type::Histogram {
            return self.numbers.push((labels, value));
        }
        let (bound, rest): (Vec<_>, Vec<_>) = pairs(labels).into_iter().partition(|(key, _)| *key == "le");
        let key = rest.iter().map(|(key, value)| format!("{key}={value},")).collect();
        let point = self
            .histograms
            .entry(key)
            .or_insert_with(|| HistogramDataPoint { attributes: attributes(&rest), ..HistogramDataPoint::default() });
        match part {
            "_sum" => point.sum = Some(value),
            "_count" => point.count = value as u64,
            _ => {
                // Each bucket of the page counts those before it, too.
                let before: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push((value as u64).saturating_sub(before));
                let bound = bound.first().and_then(|(_, bound)| bound.parse().ok());
                point.explicit_bounds.extend(bound.filter(|bound: &f64| bound.is_finite()));
            }
        }
    }

    fn metric(self, since: u64, now: u64) -> Metric {
        let point = |(labels, value): (&str, f64)| NumberDataPoint {
            attributes: attributes(&pairs(labels)),
            start_time_unix_nano: if self.of == Type::Counter { since } else { 0 },
            time_unix_nano: now,
            value: Some(number(value)),
        };
        let data_points = self.numbers.into_iter().map(point).collect();
        let cumulative = AggregationTemporality::Cumulative.into();
        let (suffix, data) = match self.of {
            Type::Counter => (
                "_total",
                metric::Data::Sum(Sum { data_points, aggregation_temporality: cumulative, is_monotonic: true }),
            ),
            Type::Gauge => ("", metric::Data::Gauge(Gauge { data_points })),
            Type::Histogram => {
                let timed = |point| HistogramDataPoint { start_time_unix_nano: since, time_unix_nano: now, ..point };
                let data_points = self.histograms.into_values().map(timed).collect();
                ("", metric::Data::Histogram(Histogram { data_points, aggregation_temporality: cumulative }))
            }
        };
        Metric {
            name: format!("{}{suffix}", self.name),
            description: self.help.trim_end_matches('.').to_owned(),
            unit: if self.name.ends_with("_seconds") { "s" } else { "" }.to_owned(),
            data: Some(data),
        }
    }
}

fn number(value: f64) -> number_data_point::Value {
    if value.fract() == 0.0 && value.abs() < 2_f64.powi(53) {
        number_data_point::Value::AsInt(value as i64)
    } else {
        number_data_point::Value::AsDouble(value)
    }
}

/// The labels of a sample. Our values are names, with nothing in them that would be escaped.
fn pairs(labels: &str) -> Vec<(&str, &str)> {
    let labels = labels.split(',').filter_map(|label| label.split_once('='));
    labels.map(|(key, value)| (key, value.trim_matches('"'))).collect()
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| text(key, *value)).collect()
}

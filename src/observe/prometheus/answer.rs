//! What Prometheus answers: `/api/v1/query`, `/api/v1/status/buildinfo`
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/>).

use crate::domain::text::sanitize;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One series of an instant vector, or a scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    /// Its labels.
    pub(super) labels: BTreeMap<String, String>,
    /// Evaluated at, seconds of the Unix epoch.
    pub(super) at: f64,
    /// Its value; may be no number.
    pub(super) value: f64,
}

/// Why one query has no answer while the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) String);

#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
    Scalar((f64, String)),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Sample {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// Absent for a native histogram.
    value: Option<(f64, String)>,
}

#[derive(Deserialize)]
struct Build {
    version: String,
}

/// The version of `/api/v1/status/buildinfo`.
pub(super) fn version(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Envelope<Build>>(body).ok()?.data.map(|b| b.version)
}

/// The series of an answer; an error when it is none, a refusal when it is one that can not be taken.
pub(super) fn series(body: &[u8], most: usize) -> Result<Result<Vec<Series>, Refusal>, String> {
    let envelope: Envelope<Data> = serde_json::from_slice(body).map_err(|e| {
        // The place is told, the text is not: it is foreign and may be long.
        format!("the answer is not what Prometheus says (line {}, column {})", e.line(), e.column())
    })?;
    if envelope.status != "success" {
        return Ok(Err(Refusal(sanitize(&envelope.error))));
    }
    let samples = match envelope.data {
        Some(Data::Vector(samples)) => samples,
        Some(Data::Scalar((at, value))) => vec![Sample { metric: BTreeMap::new(), value: Some((at, value)) }],
        Some(Data::Matrix(_) | Data::String(_)) => {
            return Ok(Err(Refusal("it gives a range or a string; an instant vector or a scalar is wanted".into())));
        }
        None => return Err("the answer has no data".into()),
    };
    if samples.len() > most {
        let found = samples.len();
        return Ok(Err(Refusal(format!(
            "it gives {found} series, allowed is {most} (`series`): aggregate it, or a label has exploded"
        ))));
    }
    let read = samples.into_iter().filter_map(|s| {
        let (at, text) = s.value?;
        Some(Series { labels: s.metric, at, value: number(&text) })
    });
    Ok(Ok(read.collect()))
}

/// A value as Prometheus writes it: also `NaN`, `+Inf`, `-Inf`.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// Why a query was refused.
pub(super) fn error(body: &[u8]) -> String {
    match serde_json::from_slice::<Envelope<serde::de::IgnoredAny>>(body) {
        Ok(envelope) if !envelope.error.is_empty() => envelope.error.chars().take(300).collect(),
        _ => "Prometheus refuses it without saying why".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_and_a_scalar_are_read_and_no_number_stays_none() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"1"},"value":[1.5,"NaN"]},{"metric":{},"value":[1.5,"+Inf"]},{"metric":{},"value":[2,"0.25"]}]}}"#;
        let seen = series(body, 3).unwrap().unwrap();
        assert!(seen[0].value.is_nan() && seen[1].value.is_infinite());
        assert_eq!((seen[2].value, seen[2].at), (0.25, 2.0));
        let scalar = br#"{"status":"success","data":{"resultType":"scalar","result":[3,"7"]}}"#;
        assert!((series(scalar, 1).unwrap().unwrap()[0].value - 7.0).abs() < 1e-9);
    }

    #[test]
    fn too_many_series_a_range_and_rubbish_are_told_apart() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"2"]}]}}"#;
        assert!(series(body, 1).unwrap().unwrap_err().0.contains("2 series, allowed is 1"));
        let range = br#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        assert!(series(range, 9).unwrap().unwrap_err().0.contains("instant vector"));
        assert!(series(b"<html>", 9).unwrap_err().contains("line 1"));
        assert_eq!(error(br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#), "parse error");
    }
}

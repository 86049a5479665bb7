//! What tasks cost this month, and what they will have cost by its end.

use super::caller::Caller;
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::Query;
use super::{Api, json_response, to_json};
use crate::queue::costs::Month;
use crate::task::Time;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const MS_AN_HOUR: f64 = 3_600_000.0;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(costs))
}

/// What this month costs, in whatever money the rates are in.
#[derive(Serialize, ToSchema)]
#[schema(as = Costs)]
pub struct CostsView<'a> {
    /// When the month began, in UTC.
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    until: Time,
    /// Of all types that have a rate, so far.
    cost: f64,
    /// The same at the month's end, if it goes on as it did.
    projected: f64,
    /// Every type that ran or has a rate.
    #[schema(value_type = std::collections::BTreeMap<String, CostView>)]
    types: BTreeMap<&'a str, CostView>,
}

/// What one type costs.
#[derive(Serialize, ToSchema)]
#[schema(as = Cost)]
pub struct CostView {
    /// How long its tasks ran this month: attempts that ended, but for those whose worker was lost or gave them back.
    run_seconds: f64,
    /// What an hour costs; null where nobody said.
    rate_per_hour: Option<f64>,
    cost: Option<f64>,
    projected: Option<f64>,
}

impl<'a> CostsView<'a> {
    /// A month at these rates.
    pub fn of(month: &'a Month, rates: &'a BTreeMap<String, f64>) -> CostsView<'a> {
        let of_type = |r#type: &'a String| {
            let (run_ms, rate) = (month.run_ms.get(r#type).copied().unwrap_or_default() as f64, rates.get(r#type));
            let cost = rate.map(|rate| run_ms * rate / MS_AN_HOUR);
            let projected = cost.map(|cost| month.projected(cost));
            let view = CostView { run_seconds: run_ms / 1000.0, rate_per_hour: rate.copied(), cost, projected };
            (r#type.as_str(), view)
        };
        let types: BTreeMap<_, _> = month.run_ms.keys().chain(rates.keys()).map(of_type).collect();
        // The sum of nothing is -0.0.
        let cost = types.values().filter_map(|of_type| of_type.cost).fold(0.0, |sum, cost| sum + cost);
        CostsView { since: month.since, until: month.until, cost, projected: month.projected(cost), types }
    }
}

/// What the caller's tasks cost this month (in UTC) at the rates of `ERRAND_COST_PER_HOUR`, and a projection to its end.
#[utoipa::path(
    get, path = "/api/costs", tag = "service",
    params(
        ("owner" = Option<String>, Query, max_length = 100, description = "Only that one's; of those that the caller may see"),
    ),
    responses(
        (status = 200, description = "What they cost", body = CostsView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn costs(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidRequest)?;
    let scope = caller.scope_of(&mut query);
    query.done()?;
    let month = api.queue.month(&scope).await?;
    let costs = CostsView::of(&month, &api.node.cost_per_hour);
    Ok(json_response(StatusCode::OK, Body::from(to_json(&costs))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_costs_its_hours_at_its_rate_and_without_a_rate_nothing_is_said() {
        let (since, until) = Time::parse("2026-06-16T00:00:00Z").unwrap().month();
        let run_ms = [("a", 3_600_000), ("b", 1_800_000)].map(|(name, ms)| (name.to_owned(), ms)).into();
        let month = Month { since, until, now: Time::parse("2026-06-16T00:00:00Z").unwrap(), run_ms };
        let rates = [("a", 2.0), ("c", 9.0)].map(|(name, rate)| (name.to_owned(), rate)).into();
        let told = serde_json::to_value(CostsView::of(&month, &rates)).unwrap();
        assert_eq!((&told["cost"], &told["projected"]), (&json!(2.0), &json!(4.0)));
        let types = json!({
            "a": { "run_seconds": 3600.0, "rate_per_hour": 2.0, "cost": 2.0, "projected": 4.0 },
            "b": { "run_seconds": 1800.0, "rate_per_hour": null, "cost": null, "projected": null },
            "c": { "run_seconds": 0.0, "rate_per_hour": 9.0, "cost": 0.0, "projected": 0.0 },
        });
        assert_eq!(told["types"], types);
        let second = Month { run_ms: [("a".to_owned(), 1_009)].into(), ..month.clone() };
        let told = to_json(&CostsView::of(&second, &[("a".to_owned(), 3600.0)].into()));
        assert!(told.contains(r#""run_seconds":1.009,"rate_per_hour":3600.0,"cost":1.009,"#), "{told}");
        let nothing = Month { run_ms: BTreeMap::new(), ..month.clone() };
        let told = to_json(&CostsView::of(&nothing, &BTreeMap::new()));
        assert!(told.contains(r#""cost":0.0,"projected":0.0"#), "{told}");
    }
}

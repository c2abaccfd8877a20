//! Measures that bound what one tenant may take: at the ingress, in the cluster, in the database and in Odoo.

/// What is bounded; nothing at rest.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Limits {
    /// Requests a second that the ingress lets through.
    pub rate: Option<u32>,
    /// Requests that may be under way at the same time.
    pub in_flight: Option<u32>,
    /// Whether the ingress cuts requests to a failing service short.
    pub circuit_breaker: bool,
    /// Priority of the route to its own service, where one was set.
    pub route_priority: Option<u32>,
    /// Weights of the services that its requests are shared out between.
    pub weights: Option<String>,
    /// CPU cores that its namespace may use.
    pub quota_cores: Option<u32>,
    /// Whether its namespace is cut off by a network policy.
    pub isolated: bool,
    /// Connections that its database accepts.
    pub connections: Option<u32>,
    /// Whether its cron jobs of the cluster are suspended.
    pub cronjobs_suspended: bool,
    /// Crons of Odoo that were switched off, by name.
    pub crons_paused: Vec<String>,
    /// Whether exports are locked.
    pub exports_locked: bool,
    /// Profile of its workers, where it is not the usual one.
    pub profile: Option<String>,
}

impl Limits {
    /// Requests a second that are let through of those that come, and the share that is turned away.
    pub fn admitted(&self, requests: f64) -> (f64, f64) {
        // A request under way takes about half a second.
        let most = [self.rate.map(f64::from), self.in_flight.map(|n| f64::from(n) * 2.0)];
        let admitted = most.into_iter().flatten().fold(requests, f64::min);
        let refused = if requests > 0.0 { 1.0 - admitted / requests } else { 0.0 };
        (admitted, refused.clamp(0.0, 1.0))
    }

    /// Whether its requests are sent to a service of another region, which is named `dr` something.
    pub fn elsewhere(&self) -> bool {
        let named = |part: &str| part.trim().starts_with("dr") && !part.trim().ends_with("=0");
        self.weights.as_ref().is_some_and(|weights| weights.split(',').any(named))
    }

    /// Names of the measures of the ingress, as its dynamic configuration calls them.
    pub fn at_the_ingress(&self, tenant: &str) -> impl Iterator<Item = String> {
        let all = [
            (self.rate.is_some(), "rate-limit"),
            (self.in_flight.is_some(), "in-flight"),
            (self.circuit_breaker, "circuit-breaker"),
            (self.route_priority.is_some(), "route"),
            (self.weights.is_some(), "weights"),
        ];
        let tenant = tenant.to_owned();
        all.into_iter().filter(|(on, _)| *on).map(move |(_, what)| format!("quarterdeck-{what}-{tenant}@file"))
    }
}

//! Looking a second time: a request that was lost may still be in a queue of its server, so that it had no effect is
//! believed only when a later look sees none either.

use crate::domain::ports::Reconciled;
use std::time::Duration;

/// Looks, and where that saw no effect once more after `wait`. Any other finding stands at once.
pub(super) async fn twice<L: Future<Output = Reconciled>>(wait: Duration, mut look: impl FnMut() -> L) -> Reconciled {
    match look().await {
        Reconciled::NoEffect { .. } => {
            tokio::time::sleep(wait).await;
            look().await
        }
        seen => seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_had_no_effect_is_looked_at_again() {
        let none = || Reconciled::NoEffect { seen: "none".into() };
        let took = || Reconciled::TookEffect { seen: "there".into() };
        let open = || Reconciled::Undecided { why: "silent".into() };
        for (seen, last) in [
            (vec![none(), took()], took()),
            (vec![none(), open()], open()),
            (vec![took()], took()),
            (vec![open()], open()),
        ] {
            let mut looks = seen.into_iter();
            let found = twice(Duration::ZERO, || std::future::ready(looks.next().unwrap())).await;
            assert_eq!((found, looks.next()), (last, None));
        }
    }
}

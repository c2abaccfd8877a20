//! What a playbook would send now: every step with its request, digest, risk and preconditions, without a run, an
//! intent or anything sent. A step that needs something which is not there yet says what it waits for.

use super::api::CheckView;
use super::assess::{OfRun, Scene, Surveying, expected};
use super::state::State;
use crate::act::Verbs;
use crate::domain::id::{Digest, Person, RunId, StepId, TenantId};
use crate::domain::mode::Mode;
use crate::domain::request::{Request, Target};
use crate::domain::risk::{Assessment, Risk};
use crate::domain::world::World;
use crate::playbook::expr::{Evaluation, Surroundings};
use crate::playbook::params;
use crate::playbook::plan::Plan;
use crate::playbook::run::{Run, Start};
use crate::playbook::{Draft, Piece, Rendered, Requested};
use crate::policy::rules::Policy;
use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One step as it would be.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Preview {
    /// Id.
    pub id: StepId,
    /// Name.
    pub name: String,
    /// Type: check, action and so on.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Risk: assessed where it could be rendered, else declared.
    pub risk: Risk,
    /// Why it is that risk, and what it takes; at least, where the request is not there yet.
    pub assessment: Option<Assessment>,
    /// What would be sent.
    pub request: Option<Request>,
    /// At what; the same as in the request.
    pub target: Option<Target>,
    /// Digest of the request as shown here, for `playbook run --confirm`. It belongs to no run: a run that makes of it
    /// the same request takes it, and no other.
    pub digest: Option<Digest>,
    /// Preconditions, as they are now.
    pub preconditions: Vec<CheckView>,
    /// Why it can not be rendered now: `pending on STEP`, or what is not known.
    pub pending: Option<String>,
}

/// Renders every step against what is known now, and what its verb reads of the target; by the policy and the state in force, and
/// whether there is an identity provider.
///
/// # Errors
/// One sentence for each parameter that is wrong.
pub async fn preview(
    plan: &Arc<Plan>,
    given: &BTreeMap<String, String>,
    world: &World,
    verbs: &Verbs,
    (policy, state, provider): (&Policy, &State, bool),
    mode: Mode,
    now: Timestamp,
) -> Result<Vec<Preview>, Vec<String>> {
    // A secret is not needed to show what would be sent: a word stands for it.
    let secret = plan.playbook().parameters.iter().filter(|(name, p)| p.secret && !given.contains_key(*name));
    let words = secret.map(|(name, _)| (name.clone(), crate::domain::secret::no_word()));
    let given: BTreeMap<String, String> = given.iter().map(|(k, v)| (k.clone(), v.clone())).chain(words).collect();
    let bound = params::bind(plan.playbook(), &given, &world.estate)?;
    // Programs are started by the verb that the policy makes: only what it allows can be shown.
    let commands = mode.may_act().map(|may| crate::act::command::verbs(may, policy.commands.clone()));
    let verbs = &match commands.filter(|_| mode == Mode::Live) {
        Some(commands) => verbs.clone().and(commands),
        None => verbs.clone(),
    };
    let scene = Scene { mode, now, world, state, verbs, findings: &[], policy, provider };
    let targets = scene.select(plan, &bound.values, None).map_err(|why| vec![why])?;
    let start = Start {
        run: RunId::new("RUN-0"),
        params: bound.values,
        tenant: bound.tenant,
        incident: None,
        by: Person::new("nobody"),
        targets,
        parent: None,
        secrets: BTreeMap::new(),
    };
    let run = Run::new(plan.clone(), start);
    let of = OfRun { run: &run, incident: None, user: "nobody", actor: None };
    let nearby = Nearby::new(&scene, &of);
    let finished = |draft: Draft<'_>, read: &Read| {
        let rendered = draft.rendered(|step, pieces| {
            let found = |piece: usize, _: &Piece<'_>| read.get(&piece).cloned().transpose();
            scene.compose(&of, step, &pieces, &found)
        });
        let (step, mut preview) = (rendered.step, shown(rendered));
        // Where the request is not there yet, policy still says what it will take at least.
        if preview.assessment.is_none()
            && let Some(call) = &step.run
            && let Some(verb) = verbs.get(&call.name())
            && let Ok(assessment) = expected(&scene, &of, step, verb.spec())
        {
            preview.risk = assessment.risk;
            preview.assessment = Some(assessment);
        }
        preview
    };
    let begun = |step| {
        let mut draft = crate::playbook::draft(&run, step, &mut |tenant| nearby.of(tenant));
        let pieces = draft.pieces.iter_mut().flatten();
        let readings = match scene.surveys(pieces) {
            Ok(readings) => readings,
            Err(why) => {
                draft.pieces = Err(Requested::Failed(why));
                Vec::new()
            }
        };
        // What reads nothing is finished at once: of hundreds of targets the drafts of one step fit into the memory that
        // the step before has just given back.
        if readings.is_empty() {
            Begun::Finished(Box::new(finished(draft, &Read::new())))
        } else {
            Begun::Reads(draft, readings)
        }
    };
    let begun = side_by_side(plan.steps().iter().collect(), &begun);
    let read = join_all(begun.into_iter().map(async |begun| match begun {
        Begun::Finished(preview) => Ok(*preview),
        Begun::Reads(draft, readings) => {
            let readings = readings.into_iter().map(async |(piece, reading)| (piece, reading.await));
            Err((draft, join_all(readings).await.into_iter().collect::<Read>()))
        }
    }));
    let one = |read: Result<Preview, (Draft<'_>, Read)>| read.unwrap_or_else(|(draft, read)| finished(draft, &read));
    Ok(side_by_side(read.await, &one))
}

/// What verbs have read of the targets of one step, by piece.
type Read = BTreeMap<usize, Result<Value, String>>;

/// A step on its way.
enum Begun<'a> {
    /// Nothing of it had to be read.
    Finished(Box<Preview>),
    /// Its verb reads these pieces first.
    Reads(Draft<'a>, Vec<(usize, Surveying)>),
}

/// Steps that are not worth a thread of their own.
const FEW: usize = 16;

/// Makes one thing of each other, in their order, on as many processors as there are.
fn side_by_side<T: Send, U: Send>(work: Vec<T>, one: &(impl Fn(T) -> U + Sync)) -> Vec<U> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(work.len() / FEW + 1);
    let length = work.len().div_ceil(threads).max(1);
    let mut work = work.into_iter();
    let mut next = || work.by_ref().take(length).collect::<Vec<T>>();
    std::thread::scope(|scope| {
        let own = next();
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let part = next();
                scope.spawn(move || part.into_iter().map(one).collect::<Vec<U>>())
            })
            .collect();
        let mut all: Vec<U> = own.into_iter().map(one).collect();
        for other in others {
            match other.join() {
                Ok(part) => all.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// What is known around the run and around each of its targets, gathered once for all steps.
struct Nearby<'a> {
    scene: &'a Scene<'a>,
    of: &'a OfRun<'a>,
    run: Arc<Surroundings>,
    targets: HashMap<TenantId, Arc<Surroundings>>,
}

impl<'a> Nearby<'a> {
    fn new(scene: &'a Scene<'a>, of: &'a OfRun<'a>) -> Self {
        let around = |tenant: &TenantId| (tenant.clone(), scene.around_each(of, Some(tenant)));
        let targets = of.run.start().targets.iter().map(around).collect();
        Self { scene, of, run: scene.around_each(of, None), targets }
    }

    fn of(&self, tenant: Option<&TenantId>) -> Arc<Surroundings> {
        let Some(tenant) = tenant else { return self.run.clone() };
        self.targets.get(tenant).cloned().unwrap_or_else(|| self.scene.around_each(self.of, Some(tenant)))
    }
}

fn shown(rendered: Rendered<'_>) -> Preview {
    let step = rendered.step;
    let check = |e: &Evaluation| CheckView { text: e.text.clone(), holds: e.verdict.holds(), detail: e.detail.clone() };
    let mut preview = Preview {
        id: step.id.clone(),
        name: step.name.clone(),
        kind: step.kind.word(),
        risk: step.declared_risk(),
        assessment: None,
        request: None,
        target: None,
        digest: None,
        preconditions: rendered.preconditions.iter().map(check).collect(),
        pending: None,
    };
    match rendered.requested {
        Requested::Nothing => {}
        Requested::PendingOn(earlier) => preview.pending = Some(format!("pending on {earlier}")),
        Requested::Failed(why) => preview.pending = Some(why),
        Requested::Rendered(rendering) => {
            preview.risk = rendering.assessment.risk;
            preview.assessment = Some(rendering.assessment);
            preview.target = Some(rendering.request.target.clone());
            preview.request = Some(rendering.request);
            preview.digest = rendering.shown;
        }
    }
    preview
}

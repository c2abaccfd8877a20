//! The console over several estates. Each is opened by tasks of its own and tried again while it can not be: by the socket
//! of its engine, or by its own configuration, whose engine then runs in this process unless one is served already.

use super::args::Global;
use super::attach;
use super::console::{AFTER_PANIC, came_of, way};
use super::looks::Looks;
use super::opening::{self, Opened};
use super::output::{Error, Exit};
use super::session::{self, Loaded, Several, Target};
use crate::domain::mode::Mode;
use crate::engine::attach::remote::{self, Away};
use crate::engine::presence::Door;
use crate::terminal::console::Ended;
use crate::terminal::desks::{Berth, Desk, Opens, Reach};
use crate::terminal::outside::Way;
use futures::future::{BoxFuture, join_all};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// `quarterdeck` where the configuration names several estates.
pub fn open(global: &Global, several: Several, looks: Looks) -> Result<Exit, Error> {
    if global.policy.is_some() {
        let message = "--policy names the policy of one estate; each of several has its own: give --estate NAME too";
        return Err(Error::Usage(message.into()));
    }
    let mode = session::live_mode(global);
    let names: Vec<String> = several.names().into_iter().map(str::to_owned).collect();
    let (several, misled) = (Arc::new(several), Arc::new(Misled::default()));
    let berths: Vec<Arc<Estate>> =
        names.iter().map(|name| Arc::new(Estate::new(name, mode, several.clone(), misled.clone()))).collect();
    let desk = |estate: &Arc<Estate>| Desk {
        estate: estate.name.clone(),
        mode,
        reach: Reach::Later(Arc::clone(estate) as Arc<dyn Opens>),
    };
    let mut desks = berths.iter().map(desk);
    let Some(first) = desks.next() else { return Err(Error::Usage("the configuration names no estate".into())) };
    let berth = Berth { first, more: desks.collect() };
    session::runtime()?.block_on(async {
        let ended = looks.show(berth).await;
        let panicked = matches!(ended, Ok(Ended::Panicked));
        let longest = if panicked { AFTER_PANIC } else { Duration::MAX };
        let closing = join_all(berths.iter().map(|estate| estate.end()));
        let closed = tokio::time::timeout(longest, closing).await.is_ok();
        came_of(ended, closed)
    })
}

/// One estate of the console.
struct Estate {
    name: String,
    mode: Mode,
    several: Arc<Several>,
    /// The engine, where it runs in this process. Whoever holds the lock may be opening it.
    opened: Mutex<Option<Opened>>,
    misled: Arc<Misled>,
}

/// What this console was to take for an estate's and is another's, for the journals that are open in it: those of the engines that
/// run here, also of one that is opened later. Of each it is said once.
#[derive(Default)]
struct Misled(Mutex<Known>);

#[derive(Default)]
struct Known {
    doors: Vec<Door>,
    /// The estate that was meant, and why what is there was refused.
    refused: Vec<(String, String)>,
}

impl Misled {
    async fn refused(&self, estate: &str, why: String) {
        let mut known = self.0.lock().await;
        let one = (estate.to_owned(), why);
        if known.refused.contains(&one) {
            return;
        }
        for door in &known.doors {
            tell(door, &one);
        }
        known.refused.push(one);
    }

    async fn opened(&self, door: Door) {
        let mut known = self.0.lock().await;
        for one in &known.refused {
            tell(&door, one);
        }
        known.doors.push(door);
    }
}

impl Estate {
    fn new(name: &str, mode: Mode, several: Arc<Several>, misled: Arc<Misled>) -> Self {
        Self { name: name.to_owned(), mode, several, opened: Mutex::new(None), misled }
    }

    async fn reach(&self) -> Result<Way, Error> {
        let loaded = match self.several.one(&self.name)? {
            Target::Served { name, socket } => {
                let caller = session::caller(&socket, "socket", self.mode == Mode::ReadOnly).of(&name);
                return Ok(attach::far(remote::attach(caller).await.map_err(away)?));
            }
            Target::Estate(loaded) => *loaded,
        };
        let caller = session::home(&loaded.config).caller("socket", self.mode == Mode::ReadOnly);
        match remote::attach(caller).await {
            Ok(remote) => Ok(attach::far(remote)),
            Err(Away::Nobody(_)) => self.begin(&loaded).await,
            Err(why) => Err(away(why)),
        }
    }

    /// Opens its engine in this process. From the lock to the end nothing is waited for: a console that ends meanwhile
    /// finds either no engine or one that it can end in good order.
    async fn begin(&self, loaded: &Loaded) -> Result<Way, Error> {
        let mut opened = self.opened.lock().await;
        let here = tokio::task::block_in_place(|| opening::live(loaded, self.mode, true, "console"))?;
        let way = opening::known_key(loaded).map(|key| way(&here, key));
        let door = here.running.door.clone();
        *opened = Some(here);
        drop(opened);
        self.misled.opened(door).await;
        way
    }

    async fn end(&self) {
        if let Some(opened) = self.opened.lock().await.take() {
            opened.end().await;
        }
    }
}

impl Opens for Estate {
    fn open(&self) -> BoxFuture<'_, Result<Way, String>> {
        Box::pin(async {
            match self.reach().await {
                Ok(way) => Ok(way),
                Err(error) => {
                    let why = error.first_line();
                    if matches!(error, Error::OtherEstate(_)) {
                        self.misled.refused(&self.name, why.clone()).await;
                    }
                    Err(why)
                }
            }
        })
    }
}

/// Tells one engine; nobody waits for it.
fn tell(door: &Door, (estate, why): &(String, String)) {
    let (door, estate, why) = (door.clone(), estate.clone(), why.clone());
    tokio::spawn(async move { door.elsewhere(session::me("console"), estate, why).await });
}

/// Why an engine is not attached to.
fn away(away: Away) -> Error {
    match away {
        Away::Elsewhere(why) => Error::OtherEstate(why),
        away => Error::failed(away),
    }
}

//! A commander's seat at the lab: the console in a pseudo-terminal with a configuration and a journal of its own,
//! and what hands do there again and again. Every key is one that a person would press.

use super::record::{Records, verify};
use super::{LONG, Lab};
use crate::support::{CTRL_C, DOWN, END, ENTER, ESC, SOON, Start, TAB, Term};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for a step to be sent, answered and seen to have held.
pub const STEP: Duration = Duration::from_mins(1);

pub struct Seat {
    pub term: Term,
    home: TempDir,
}

impl Seat {
    /// Opens the console on the lab as it is configured.
    pub fn open(lab: &Lab) -> Self {
        Self::open_with(lab, |_| {})
    }

    /// Opens the console on the lab with a changed configuration.
    pub fn open_with(lab: &Lab, change: impl FnOnce(&mut toml::Table)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut config = lab.config(home.path());
        change(&mut config);
        let file = home.path().join("config.toml");
        std::fs::write(&file, config.to_string()).unwrap();
        let args = ["--config", &file.display().to_string()];
        let term = Term::start(&Start { args: &args, env: &[], home: home.path(), size: (120, 40) });
        let seat = Self { term, home };
        seat.term.until("the overview", SOON, |s| s.contains("LIVE") && s.contains("t017"));
        seat
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn journal(&self) -> PathBuf {
        self.home.path().join("journal")
    }

    /// The records so far.
    pub fn records(&self) -> Records {
        Records::read(self.home(), &self.journal())
    }

    /// Waits until every source has answered.
    pub fn all_known(&self) {
        self.term.until("every source to answer", LONG, |s| s.contains("every source answers"));
    }

    /// Starts a playbook for a tenant from the list of playbooks, and waits for its run's screen.
    pub fn start(&mut self, playbook: &str, tenant: &str) {
        self.term.keys("p");
        self.term.until("the list of playbooks", SOON, |s| s.contains("─Playbooks─") && s.contains('▌'));
        self.find_row(playbook);
        self.term.keys(ENTER);
        self.term.shows("Looks run at once");
        self.term.keys(tenant).keys(ENTER);
        let title = format!("tenant={tenant}");
        self.term.until("the run's screen", SOON, |s| s.contains(&title) && s.contains("RUN-"));
    }

    /// Moves the cursor down to the row that holds a text.
    pub fn find_row(&mut self, text: &str) {
        let cursor = |screen: &str| screen.lines().find(|l| l.contains('▌')).unwrap_or_default().to_owned();
        loop {
            let at = cursor(&self.term.text());
            if at.contains(text) {
                return;
            }
            self.term.keys(DOWN);
            self.term.until(&format!("the cursor to reach {text}"), SOON, |s| cursor(s) != at);
        }
    }

    /// Waits until a step of the shown run waits for a confirmation.
    pub fn awaits(&self, step: &str) {
        self.term.until(&format!("{step} to wait for a confirmation"), STEP, |s| {
            s.lines().any(|l| l.contains(step) && l.contains("waits for your confirmation"))
        });
    }

    /// Opens the dialog of the step in hand and reads its request to the end.
    pub fn open_dialog(&mut self, step: &str) {
        self.term.keys(ENTER);
        self.term.until("the dialog", SOON, |s| s.contains("Confirm step") && s.contains(step));
        self.term.keys(END);
        self.term.until("the request to be read", SOON, |s| !s.contains("read the request to its end first"));
    }

    /// Confirms the step in hand with the Run button.
    pub fn confirm(&mut self, step: &str) {
        self.awaits(step);
        self.open_dialog(step);
        self.term.shows("Ready: nothing stands in the way.");
        self.term.keys(TAB).keys(ENTER);
        self.term.until("the dialog to close", SOON, |s| !s.contains("Confirm step"));
    }

    /// Sends the command that closes the incident; whether it is taken, the screen says.
    pub fn try_to_close(&mut self, summary: &str) {
        self.term.keys("C");
        self.term.shows("Close INC-1");
        self.term.keys(summary).keys(ENTER).keys(TAB).keys(ENTER);
    }

    /// Takes the first choice of a manual step, where the playbook has one here.
    pub fn decide_if_asked(&mut self) {
        // A lock tree, too, says who waits for whom.
        let screen = self.term.until("the next step", STEP, |s| s.contains("waits for your "));
        if screen.contains("waits for your decision") {
            self.term.keys(ENTER);
            self.term.shows("Decide");
            self.term.keys(ENTER).keys(ENTER).keys(TAB).keys(ENTER);
        }
    }

    /// Declares an incident for what the console proposes.
    pub fn declare(&mut self) {
        self.term.keys("F");
        self.term.shows("Declare an incident");
        // Title and severity are filled; Enter leads to Cancel, Tab to the button that sends.
        self.term.keys(ENTER).keys(ENTER).keys(TAB).keys(ENTER);
        self.term.until("the incident in the header", SOON, |s| s.lines().next().unwrap_or("").contains("INC-1"));
    }

    /// Breaks the glass with a reason.
    pub fn break_glass(&mut self, reason: &str) {
        self.term.keys("B");
        self.term.shows("Break the glass");
        self.term.keys(reason).keys(ENTER).keys(TAB).keys(ENTER);
        self.term.until("the banner", SOON, |s| s.contains("GLASS BROKEN by mara"));
    }

    /// Closes what lies on top. Waits for that, since Esc with a letter right behind it would be Alt with the letter.
    pub fn close(&mut self, title: &str) {
        self.term.keys(ESC);
        self.term.until(&format!("{title} to close"), SOON, |s| !s.contains(title));
    }

    /// Leaves; the journal must then verify.
    pub fn leave(mut self) -> Records {
        self.term.keys(CTRL_C);
        self.gone()
    }

    /// Leaves while a run is open, which is asked about; the journal must then verify.
    pub fn leave_with_open_run(mut self) -> Records {
        self.term.keys(CTRL_C);
        self.term.shows("Quit while a run is open?");
        self.term.keys(TAB).keys(ENTER);
        self.gone()
    }

    fn gone(mut self) -> Records {
        assert_eq!(self.term.ends(SOON).exit_code(), 0);
        verify(self.home(), &self.journal());
        self.records()
    }
}

//! The dialog in which a message to stakeholders is read, edited and sent.

use super::form::single_line;
use crate::comms::{Channel, Draft};
use crate::domain::text::sanitize;
use crate::engine::api::{Command, DraftView, WayName};
use tui_textarea::{CursorMove, TextArea, WrapMode};

/// What has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// The subject.
    Subject,
    /// The text.
    Text,
    /// The button that closes.
    Cancel,
    /// The button that asks once more, then sends.
    Send,
}

/// A message that is being written.
#[derive(Clone, Debug)]
pub struct Compose {
    /// The draft as the engine made it.
    pub draft: DraftView,
    /// Templates of the audience.
    pub templates: Vec<String>,
    /// The subject.
    pub subject: TextArea<'static>,
    /// The text.
    pub text: TextArea<'static>,
    /// What has the focus.
    pub focus: Writing,
    /// By what it goes; by the first way of each recipient when absent.
    pub by: Option<Channel>,
    /// Why it can not be sent as it stands.
    pub error: Option<String>,
    /// What it was when it was taken up again, where it had been left unsent.
    pub taken_up: Option<Draft>,
}

impl Compose {
    /// A draft, with the focus on its text.
    pub fn new(draft: DraftView, templates: Vec<String>) -> Self {
        let lines = draft.text.lines().map(sanitize).collect();
        let mut text = TextArea::new(lines);
        text.set_wrap_mode(WrapMode::WordOrGlyph);
        text.set_cursor_line_style(ratatui::style::Style::default());
        text.move_cursor(CursorMove::Top);
        let subject = single_line(&draft.subject);
        Self { draft, templates, subject, text, focus: Writing::Text, by: None, error: None, taken_up: None }
    }

    /// The message as it stands.
    pub fn written(&self) -> Draft {
        let text: Vec<String> = self.text.lines().iter().map(|line| sanitize(line)).collect();
        Draft { subject: super::text_of(&self.subject), text: text.join("\n") }
    }

    /// Whether a person has changed it.
    pub fn is_changed(&self) -> bool {
        let written = self.written();
        written.subject != self.draft.subject || written.text != self.draft.text
    }

    /// Whether something would be lost with it: words that were written by hand since it was opened.
    pub fn is_unsaved(&self) -> bool {
        self.is_changed() && self.taken_up.as_ref() != Some(&self.written())
    }

    /// The template after this one; nothing where there is no other.
    pub fn next_template(&self) -> Option<&String> {
        let at = self.templates.iter().position(|t| *t == self.draft.template)?;
        let next = self.templates.get((at + 1) % self.templates.len().max(1))?;
        (*next != self.draft.template).then_some(next)
    }

    /// By the next channel, then by the first of each recipient again.
    pub fn turn_way(&mut self) {
        let mut all: Vec<Channel> = self.draft.ways.iter().map(|w| w.channel).collect();
        all.sort_unstable();
        all.dedup();
        self.by = match self.by {
            None => all.first().copied(),
            Some(by) => all.into_iter().find(|c| *c > by),
        };
    }

    /// Recipients and channels as they would be used now.
    pub fn ways(&self) -> Vec<(&str, Channel, &str)> {
        let mut all: Vec<(&str, Channel, &str)> = Vec::new();
        for way in &self.draft.ways {
            let meant = match self.by {
                Some(by) => way.channel == by,
                None => !all.iter().any(|(recipient, _, _)| *recipient == way.recipient),
            };
            if meant {
                all.push((&way.recipient, way.channel, &way.to));
            }
        }
        all
    }

    /// What gets the focus after this, or had it before.
    pub fn turn(&mut self, forward: bool) {
        let order = [Writing::Text, Writing::Cancel, Writing::Send, Writing::Subject];
        let at = order.iter().position(|w| *w == self.focus).unwrap_or(0);
        let next = if forward { at + 1 } else { at + order.len() - 1 };
        self.focus = order.get(next % order.len()).copied().unwrap_or(Writing::Text);
    }

    /// The text field with the focus.
    pub fn focused_text(&mut self) -> Option<&mut TextArea<'static>> {
        match self.focus {
            Writing::Subject => Some(&mut self.subject),
            Writing::Text => Some(&mut self.text),
            Writing::Cancel | Writing::Send => None,
        }
    }

    /// The command that sends it.
    pub fn command(&self) -> Command {
        let Draft { subject, text } = self.written();
        Command::Tell {
            incident: Some(self.draft.incident.clone()),
            audience: self.draft.audience.clone(),
            moment: Some(self.draft.moment),
            template: Some(self.draft.template.clone()),
            subject,
            text,
            by: self.by.map(|channel| WayName { recipient: None, channel }).into_iter().collect(),
            draft: Some(self.draft.draft.clone()),
        }
    }
}

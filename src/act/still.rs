//! Whether a program that an engine has started is still at work: it outlives an engine that was killed, so that what it
//! leaves is not there yet when the next one looks. It is known by its command line. `act::{backup, command}` call this.

use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long its end is waited for before a person is asked.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether a process is that program, by its id and the words of its command line.
pub(super) type Is = Arc<dyn Fn(u32, &[&[u8]]) -> bool + Send + Sync>;

/// A program whose command line ends with these words, however it was started.
pub(super) fn told(words: &[String]) -> Is {
    let words = words.to_vec();
    Arc::new(move |_, line| !words.is_empty() && ends_with(line, &words))
}

/// Whether a command line ends with these words.
pub(super) fn ends_with(line: &[&[u8]], words: &[String]) -> bool {
    let last = line.len().checked_sub(words.len()).and_then(|from| line.get(from..));
    last.is_some_and(|last| last.iter().copied().eq(words.iter().map(String::as_bytes)))
}

/// Waits for its end, and for the end of what `busy` names. Says what still runs when the patience is over.
pub(super) async fn ended<B: Future<Output = Option<String>>>(is: &Is, mut busy: impl FnMut() -> B) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let is = Arc::clone(is);
        let pid = tokio::task::spawn_blocking(move || runs(&is)).await.ok().flatten();
        let why = match pid {
            Some(pid) => format!("it still runs (pid {pid})"),
            None => busy().await?,
        };
        if Instant::now() >= until {
            return Some(format!("{why}; only its end tells"));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Such a process of this machine.
fn runs(is: &Is) -> Option<u32> {
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.strip_suffix(&[0]).unwrap_or(&line).split(|byte| *byte == 0).collect();
        is(*pid, &words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    #[test]
    fn a_process_is_known_by_what_it_was_told_however_it_was_started() {
        let is = told(&["--stanza=main".to_owned(), "backup".to_owned()]);
        for (line, same) in [
            ("pgbackrest --stanza=main backup", true),
            ("sh /opt/pgbackrest --stanza=main backup", true),
            ("--stanza=main backup", true),
            ("pgbackrest --stanza=main info", false),
            ("pgbackrest --stanza=main backup x", false),
            ("backup", false),
            ("", false),
        ] {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            assert_eq!(is(1, &words), same, "{line}");
        }
        assert!(!told(&[])(1, &[b"anything"]));
    }

    #[tokio::test]
    async fn its_end_is_waited_for() {
        let mark = format!("still-{}", std::process::id());
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "echo up; read line", "sh", &mark]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Until it speaks its command line may not be there yet.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let is = told(&[mark]);
        assert_eq!(runs(&is), Some(child.id()));
        let mut asked = 0;
        let ends = async {
            // It ends with its input, while it is waited for.
            drop(child.stdin.take());
            tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        };
        let busy = || {
            asked += 1;
            std::future::ready((asked < 2).then(|| "something else".to_owned()))
        };
        let (open, ()) = tokio::join!(ended(&is, busy), ends);
        assert_eq!(open, None);
        assert_eq!(asked, 2);
    }
}

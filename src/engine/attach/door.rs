//! Who may come in, on both ends. The engine asks the kernel for the peer's uid and admits its own user, root, and the
//! members of one configured group. The console asks who owns the socket and the folders above it, and the kernel who
//! listens, so that it talks to no engine that another user has put there.

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Who beside its own user and root may come to an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Group whose members may.
    pub group: Option<Group>,
}

/// A group of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
}

impl Group {
    /// Looks a group up by its name or number.
    pub fn named(name: &str) -> Result<Self, String> {
        if let Ok(gid) = name.parse() {
            return Ok(Self { name: name.to_owned(), gid });
        }
        match nix::unistd::Group::from_name(name) {
            Ok(Some(group)) => Ok(Self { name: name.to_owned(), gid: group.gid.as_raw() }),
            Ok(None) => Err(format!("there is no group `{name}` on this machine")),
            Err(error) => Err(format!("the group `{name}` can not be looked up: {error}")),
        }
    }

    /// Whether a user is a member, by the peer's own group or by the group database.
    fn has(&self, uid: u32, gid: u32) -> bool {
        let listed = || {
            let user = nix::unistd::User::from_uid(uid.into()).ok().flatten()?;
            let name = std::ffi::CString::new(user.name).ok()?;
            let groups = nix::unistd::getgrouplist(&name, user.gid).ok()?;
            Some(groups.iter().any(|g| g.as_raw() == self.gid))
        };
        gid == self.gid || listed().unwrap_or(false)
    }
}

/// Login name of a user of this machine.
pub fn login(uid: u32) -> Option<String> {
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name)
}

/// User id of this process.
pub fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

impl Access {
    /// Why a peer may not ask, when that is so.
    pub fn denies(&self, uid: u32, gid: u32) -> Option<String> {
        if uid == own() || uid == 0 || self.group.as_ref().is_some_and(|g| g.has(uid, gid)) {
            return None;
        }
        let who = login(uid).map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"));
        Some(match &self.group {
            Some(group) => {
                format!("{who} may not come to this engine: only its user, root and the group {}", group.name)
            }
            None => format!("{who} may not come to this engine: only its user and root"),
        })
    }

    /// Mode of the socket.
    pub const fn mode(&self) -> u32 {
        if self.group.is_some() { 0o660 } else { 0o600 }
    }
}

/// Why a folder is no place for an engine's socket: somebody else could put another one there.
fn unsafe_folder(path: &Path, owners: &[u32]) -> io::Result<Option<String>> {
    let found = std::fs::metadata(path)?;
    let shown = path.display();
    if !owners.contains(&found.uid()) {
        let owner = login(found.uid()).unwrap_or_else(|| format!("uid {}", found.uid()));
        return Ok(Some(format!("{shown} belongs to {owner}, who could put another socket there")));
    }
    let sticky = found.mode() & 0o1000 != 0;
    // The group that a user is alone in gives nobody else a way in.
    let private = found.gid() == found.uid() && found.mode() & 0o002 == 0;
    if found.mode() & 0o022 != 0 && !sticky && !private {
        let mode = found.mode() & 0o7777;
        return Ok(Some(format!(
            "{shown} can be written by others (mode {mode:04o}), who could put another socket there"
        )));
    }
    Ok(None)
}

fn unsafe_path(socket: &Path, owners: &[u32]) -> io::Result<Option<String>> {
    let folder = socket.parent().map(Path::canonicalize).transpose()?.unwrap_or_else(|| PathBuf::from("/"));
    for (above, folder) in folder.ancestors().enumerate() {
        if let Some(why) = unsafe_folder(folder, owners)? {
            return Ok(Some(why));
        }
        // In a folder that others may write to as well, such as that of temporary files, the name itself is not safe.
        let shared = std::fs::metadata(folder)?.mode() & 0o1022 > 0o1000;
        if above == 0 && shared {
            return Ok(Some(format!("{} is shared with others; a folder of its own is needed", folder.display())));
        }
    }
    Ok(None)
}

/// Binds the socket: its folder must be safe, and from its first moment it has owner, group and mode that it keeps.
/// The caller holds the journal's lock, so that a socket which is there is a dead engine's.
pub fn bind(path: &Path, access: &Access) -> io::Result<std::os::unix::net::UnixListener> {
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        std::fs::create_dir_all(folder)?;
        let mode = if access.group.is_some() { 0o750 } else { 0o700 };
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))?;
        if let Some(group) = &access.group {
            std::os::unix::fs::chown(folder, None, Some(group.gid))?;
        }
    }
    if let Some(why) = unsafe_path(path, &[own(), 0])? {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "something that is no socket stands in its place",
            ));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Under another name first: so it can not be reached before it is set up, and replaces a dead one at once.
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&fresh)?;
    if let Some(group) = &access.group {
        std::os::unix::fs::chown(&fresh, None, Some(group.gid))?;
    }
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(access.mode()))?;
    std::fs::rename(&fresh, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Why no engine can be reached at a path.
#[derive(Debug, thiserror::Error)]
pub enum Shut {
    /// None listens.
    #[error("no engine listens at {0}")]
    Nobody(String),
    /// One may listen, and is not to be trusted or not to be reached.
    #[error("{0}")]
    Refused(String),
}

/// Connects to the engine at a path, after the path, and then the process that listens, were found trustworthy.
pub fn connect(path: &Path) -> Result<std::os::unix::net::UnixStream, Shut> {
    let shown = path.display().to_string();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Shut::Nobody(shown.clone()),
        io::ErrorKind::PermissionDenied => {
            Shut::Refused(format!("{shown}: this user may not reach the engine's socket ({error})"))
        }
        _ => Shut::Refused(format!("{shown}: {error}")),
    };
    let found = std::fs::symlink_metadata(path).map_err(failed)?;
    if !found.file_type().is_socket() {
        return Err(Shut::Refused(format!("{shown} is no socket")));
    }
    let owner = found.uid();
    if let Some(why) = unsafe_path(path, &[own(), 0, owner]).map_err(failed)? {
        return Err(Shut::Refused(format!("{shown} is not used: {why}")));
    }
    let stream = at_once(path).map_err(failed)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).map_err(|e| failed(e.into()))?.uid.as_raw();
    if peer != owner && peer != 0 {
        return Err(Shut::Refused(format!(
            "{shown} belongs to uid {owner}, but a process of uid {peer} listens there"
        )));
    }
    Ok(stream)
}

/// Connects without waiting: where the queue of an engine that hangs is full, a blocking call would hang with it, and
/// with it whoever else is served by the same thread.
fn at_once(path: &Path) -> io::Result<std::os::unix::net::UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) => {}
        // unix(7): EAGAIN where the queue of a listener is full.
        Err(rustix::io::Errno::AGAIN) => {
            return Err(io::Error::other("the engine takes no connections, as many as fit wait for it already"));
        }
        Err(error) => return Err(error.into()),
    }
    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(mode: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        dir
    }

    #[test]
    fn a_full_queue_is_said_at_once() {
        let dir = folder(0o700);
        let path = dir.path().join("engine.sock");
        let hangs = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&hangs, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&hangs, 0).unwrap();
        let mut waiting = Vec::new();
        let shut = loop {
            match connect(&path) {
                Ok(stream) => waiting.push(stream),
                Err(shut) => break shut,
            }
            assert!(waiting.len() < 100, "its queue takes more than it should");
        };
        assert!(matches!(&shut, Shut::Refused(why) if why.contains("the engine takes no connections")), "{shut:?}");
    }

    #[test]
    fn a_socket_is_its_users_alone_or_its_groups() {
        let dir = folder(0o700);
        let path = dir.path().join("engine.sock");
        let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().mode() & 0o777;
        let listener = bind(&path, &Access::default()).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(connect(&path).unwrap());
        drop(listener);
        // A dead one is no engine, and is replaced.
        assert!(matches!(connect(&path), Err(Shut::Nobody(_))));
        let gid = rustix::process::getgid().as_raw();
        let access = Access { group: Some(Group { name: "own".into(), gid }) };
        let _listener = bind(&path, &access).unwrap();
        assert_eq!(mode(&path), 0o660);
        assert!(!path.with_file_name("engine.sock.new").exists());
    }

    #[test]
    fn a_place_where_others_could_put_a_socket_is_refused_on_both_ends() {
        for mode in [0o777, 0o702, 0o1777] {
            let dir = folder(mode);
            let path = dir.path().join("engine.sock");
            let refused = bind(&path, &Access::default()).unwrap_err().to_string();
            assert!(refused.contains("others"), "{mode:o}: {refused}");
            let _impostor = std::os::unix::net::UnixListener::bind(&path).unwrap();
            assert!(matches!(connect(&path), Err(Shut::Refused(why)) if why.contains("others")), "{mode:o}");
        }
        let dir = folder(0o700);
        let path = dir.path().join("engine.sock");
        std::fs::write(&path, "not a socket").unwrap();
        assert!(bind(&path, &Access::default()).unwrap_err().to_string().contains("no socket"));
        assert!(matches!(connect(&path), Err(Shut::Refused(why)) if why.contains("no socket")));
        std::fs::remove_file(&path).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        let _listener = bind(&elsewhere, &Access::default()).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(matches!(connect(&path), Err(Shut::Refused(why)) if why.contains("no socket")), "a link");
    }

    #[test]
    fn only_the_engines_user_root_and_the_group_come_in() {
        let me = own();
        let alone = Access::default();
        assert_eq!((alone.denies(me, 9999), alone.denies(0, 0)), (None, None));
        let stranger = if me == 54_321 { 54_322 } else { 54_321 };
        assert!(alone.denies(stranger, stranger).is_some_and(|why| why.contains("54")));
        let shared = Access { group: Some(Group { name: "oncall".into(), gid: 4711 }) };
        assert_eq!(shared.denies(stranger, 4711), None);
        assert!(shared.denies(stranger, 4712).is_some_and(|why| why.contains("oncall")));
        assert!(Group::named("no-such-group-here").is_err());
        assert_eq!(Group::named("4711"), Ok(Group { name: "4711".into(), gid: 4711 }));
    }
}

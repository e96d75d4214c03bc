//! Who is at the other end of a Unix socket.

use std::io;
use std::os::unix::net::UnixStream;

/// The effective user id of the process that connected, or that listened (SO_PEERCRED in unix(7), getpeereid(3)).
/// The kernel notes it then; nobody can claim another one.
///
/// # Errors
/// The other end is gone.
pub fn uid(stream: &UnixStream) -> io::Result<u32> {
    #[cfg(target_os = "linux")]
    let uid = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)?.uid();
    #[cfg(target_os = "macos")]
    let uid = nix::unistd::getpeereid(stream)?.0.as_raw();
    Ok(uid)
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_ends_of_a_pair_are_ours() {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let own = nix::unistd::geteuid().as_raw();
        assert_eq!((super::uid(&one).unwrap(), super::uid(&other).unwrap()), (own, own));
    }
}

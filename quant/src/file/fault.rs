//! Faults in mapped files: a page that a file no longer has becomes a page of zeros, and is noted.
//!
//! A mapping outlives the file's length: to touch a page past its new end raises SIGBUS, which ends the process.
//! One handler for the process knows the mapped ranges, and passes every other fault on to the handler before it.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// An entry of the handler's list. Entries are never freed, because the handler may be reading them at any time;
/// those of closed files are used again.
#[derive(Debug)]
struct Entry {
    /// [`NOWHERE`] while unused.
    start: AtomicUsize,
    end: AtomicUsize,
    faulted: AtomicBool,
    next: *const Entry,
}

// SAFETY: `next` is set before an entry is published and never changes.
unsafe impl Send for Entry {}
// SAFETY: as above; the other fields are atomic.
unsafe impl Sync for Entry {}

const NOWHERE: usize = usize::MAX;

/// The newest entry.
static ENTRIES: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

/// Entries of closed files.
static UNUSED: Mutex<Vec<&'static Entry>> = Mutex::new(Vec::new());

/// What the process did on SIGBUS before, and the size of a page.
static INSTALLED: OnceLock<Installed> = OnceLock::new();

struct Installed {
    before: libc::sigaction,
    page: usize,
}

/// A range of addresses in which faults become zeros, until this is dropped.
#[derive(Debug)]
pub(super) struct Watched(&'static Entry);

impl Watched {
    /// Watches a mapping, which must outlive the result.
    ///
    /// # Errors
    /// Those of installing the handler.
    pub(super) fn new(mapping: &[u8]) -> io::Result<Self> {
        install()?;
        let range = mapping.as_ptr_range();
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = unused.pop().unwrap_or_else(|| {
            let entry: &'static mut Entry = Box::leak(Box::new(Entry {
                start: AtomicUsize::new(NOWHERE),
                end: AtomicUsize::new(0),
                faulted: AtomicBool::new(false),
                // Only this function writes the list, and it holds the lock.
                next: ENTRIES.load(Ordering::Acquire),
            }));
            ENTRIES.store(entry, Ordering::Release);
            entry
        });
        entry.faulted.store(false, Ordering::Relaxed);
        entry.end.store(range.end as usize, Ordering::Relaxed);
        entry.start.store(range.start as usize, Ordering::Release);
        Ok(Self(entry))
    }

    /// Whether a page has become zeros.
    pub(super) fn faulted(&self) -> bool {
        self.0.faulted.load(Ordering::Acquire)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.start.store(NOWHERE, Ordering::Release);
        UNUSED.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

/// Puts the handler in place, once.
fn install() -> io::Result<()> {
    static LOCK: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    if INSTALLED.get().is_some() {
        return Ok(());
    }
    // SAFETY: plain system calls on values of this function. What was there before is read and kept before the
    // handler can need it.
    unsafe {
        let mut before = MaybeUninit::<libc::sigaction>::uninit();
        if libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).map_err(|_| io::Error::last_os_error())?;
        INSTALLED.get_or_init(|| Installed {
            before: before.assume_init(),
            page,
        });
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = on_fault as *const () as libc::sighandler_t;
        // Threads whose stack has overflowed come here, too: on a stack of their own.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        if libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The handler. It allocates nothing and takes no lock.
extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(installed) = INSTALLED.get() else {
        return;
    };
    // SAFETY: the system passes a valid `info` to handlers installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    if !fill(address, installed.page) {
        pass_on(&installed.before, signal, info, context);
    }
}

/// Puts zeros from the page of `address` to the end of its mapping, if it is one of ours.
fn fill(address: usize, page: usize) -> bool {
    let mut entry = ENTRIES.load(Ordering::Acquire).cast_const();
    // SAFETY: entries are never freed.
    while let Some(range) = unsafe { entry.as_ref() } {
        let (start, end) = (range.start.load(Ordering::Acquire), range.end.load(Ordering::Relaxed));
        if (start..end).contains(&address) {
            range.faulted.store(true, Ordering::Release);
            let first = address - address % page;
            // SAFETY: replaces pages of a mapping that belongs to a `Map` (which is alive: somebody reads it) by
            // pages that can be read the same way; unmapping the whole range removes these, too.
            let zeros = unsafe {
                libc::mmap(
                    first as *mut libc::c_void,
                    end - first,
                    libc::PROT_READ,
                    libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED,
                    -1,
                    0,
                )
            };
            return zeros != libc::MAP_FAILED;
        }
        entry = range.next;
    }
    false
}

/// Does what would have happened without this handler.
fn pass_on(before: &libc::sigaction, signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let handler = before.sa_sigaction;
    // SAFETY: `before` is what the system said was installed, so a handler in it has the type that its flags say.
    unsafe {
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            // The faulting instruction runs again, and this time the system ends the process.
            libc::signal(signal, libc::SIG_DFL);
        } else if before.sa_flags & libc::SA_SIGINFO != 0 {
            type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            std::mem::transmute::<libc::sighandler_t, Handler>(handler)(signal, info, context);
        } else {
            type Handler = extern "C" fn(libc::c_int);
            std::mem::transmute::<libc::sighandler_t, Handler>(handler)(signal);
        }
    }
}

//! A future that wakes itself while it is polled, as hyper's connections do when one half of them has something for the
//! other. To the runtime that is a task with work to do: it queues it, and wakes another thread that takes it away, to
//! another core. Here it is polled again at once, and the runtime hears of what comes from elsewhere.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// How often it is polled in a row. One that goes on waking itself, as hyper does when it has worked for long, leaves the
/// thread to others.
const POLLS_MAX: usize = 4;

const POLLED: u8 = 1;
const WOKEN: u8 = 2;

/// Between the future and its task.
struct Bell {
    task: Waker,
    state: AtomicU8,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) & POLLED == 0 {
            self.task.wake_by_ref();
        }
    }
}

/// Awaits a future, and keeps to itself what wakes it while it is polled. It has a place of its own: in an `async fn` it would
/// have two, as its argument and where it is polled.
pub fn undisturbed<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    let mut bell: Option<(Arc<Bell>, Waker)> = None;
    poll_fn(move |cx| {
        let is_of_this_task = |(bell, _): &(Arc<Bell>, Waker)| bell.task.will_wake(cx.waker());
        let (bell, waker) = match bell.take().filter(is_of_this_task) {
            Some(both) => bell.insert(both),
            None => {
                let new = Arc::new(Bell { task: cx.waker().clone(), state: AtomicU8::new(0) });
                bell.insert((Arc::clone(&new), Waker::from(new)))
            }
        };
        for _ in 0..POLLS_MAX {
            bell.state.store(POLLED, Ordering::Release);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            if bell.state.swap(0, Ordering::AcqRel) & WOKEN == 0 {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn so_far(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn what_wakes_itself_is_polled_again_and_its_task_hears_nothing() {
        let task = Arc::new(Count::default());
        let mut polls = 0;
        let mut future = pin!(undisturbed(poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 3 { Poll::Ready(polls) } else { Poll::Pending }
        })));
        let waker = Waker::from(Arc::clone(&task));
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(3));
        assert_eq!(task.so_far(), 0);
    }

    #[test]
    fn what_wakes_itself_for_ever_leaves_the_thread_to_others() {
        let task = Arc::new(Count::default());
        let mut polls = 0;
        let mut future = Box::pin(undisturbed(poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })));
        let waker = Waker::from(Arc::clone(&task));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(future);
        assert_eq!((polls, task.so_far()), (POLLS_MAX, 1));
    }

    #[test]
    fn what_others_wake_wakes_the_task_that_polled_it_last() {
        let tasks = [Arc::new(Count::default()), Arc::new(Count::default())];
        let (mut handed_out, heard) = (None, || tasks.each_ref().map(|task| task.so_far()));
        let mut future = Box::pin(undisturbed(poll_fn(|cx| {
            handed_out = Some(cx.waker().clone());
            Poll::<()>::Pending
        })));
        for task in &tasks {
            let waker = Waker::from(Arc::clone(task));
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(heard(), [0, 0]);
        drop(future);
        handed_out.take().unwrap().wake();
        assert_eq!(heard(), [0, 1]);
    }
}

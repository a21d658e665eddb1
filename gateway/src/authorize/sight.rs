//! Who sees what of an agent: its card, and the skills in the card for those who are known to it. It is the question of a
//! list, `visible`.

use super::{Lane, One, Question};
use crate::config::Limits;
use policy::PolicySet;
use std::sync::Arc;
use std::time::Instant;

/// Whether policy shows the agent to its caller. What can't be decided isn't shown.
pub async fn shows_agent(
    policy: &Arc<PolicySet>,
    lane: &Lane,
    question: &Question<'_>,
    limits: &Limits,
) -> bool {
    let revoked = question.revocations.server(question.server.server(), question.now).is_err();
    !revoked && shows(policy, lane, question, limits, One::Agent).await
}

/// Whether policy shows each of the skills, in their order. What there is no time for isn't shown.
pub async fn skills_shown(
    policy: &Arc<PolicySet>,
    lane: &Lane,
    question: &Question<'_>,
    limits: &Limits,
    skills: &[&str],
) -> Vec<bool> {
    let (began, mut pace) = (Instant::now(), lane.pace());
    let mut shown = Vec::with_capacity(skills.len());
    for skill in skills {
        pace.keep().await;
        let in_time = began.elapsed() <= limits.decisions_timeout;
        shown.push(in_time && shows(policy, lane, question, limits, One::Skill(skill)).await);
    }
    shown
}

async fn shows(
    policy: &Arc<PolicySet>,
    lane: &Lane,
    question: &Question<'_>,
    limits: &Limits,
    one: One<'_>,
) -> bool {
    let input = question.input(one, None);
    let asked = question.asked(one, &input, limits.permit_ttl_max);
    lane.shows(policy, &asked, question.caller.id()).await
}

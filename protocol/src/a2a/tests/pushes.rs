//! What a message's push configuration may say besides where events go.

use super::{V1, fault, grpc_call, http, message, rpc};
use crate::a2a::Method;
use crate::a2a::error::Fault;
use serde_json::Value;

#[test]
fn a_push_configuration_in_a_message_names_no_other_task_and_no_other_tenant() {
    let with = |name: &str, value: &str| {
        let mut message = message();
        message["tenant"] = "acme".into();
        message["configuration"]["taskPushNotificationConfig"][name] = value.into();
        message
    };
    for (name, same_one, other) in [("taskId", "t-1", "t-2"), ("tenant", "acme", "acme2")] {
        for written in [
            |message: &Value| rpc(&[V1], "SendMessage", message),
            |message: &Value| http("POST", "/message:send", &[V1], message),
            |message: &Value| grpc_call(Method::SendMessage, message),
        ] {
            assert!(written(&with(name, "")).is_ok());
            assert_eq!(fault(written(&with(name, other))), Fault::Disagree { name });
        }
        assert!(rpc(&[V1], "SendMessage", &with(name, same_one)).is_ok());
    }
    assert!(
        fault(grpc_call(Method::SendMessage, &with("tenant", "acme"))) == Fault::Disagree { name: "tenant" }
    );
}

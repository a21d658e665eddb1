//! The pages that a person sees: HTML without scripts, styles and pictures. All that a program says of itself is escaped.

use super::users::SignInError;
use std::collections::BTreeSet;
use std::fmt::{Display, Write};

/// What the form is about.
pub(super) struct Asks<'a> {
    /// What the program calls itself.
    pub(super) client: &'a str,
    /// Where the answer goes.
    pub(super) redirect: &'a str,
    /// What it wants to use.
    pub(super) resource: &'a str,
    /// What it wants to do there; none is all that the person may.
    pub(super) scopes: Option<&'a BTreeSet<String>>,
    /// Workloads that may act for people.
    pub(super) agents: &'a BTreeSet<String>,
    /// What was asked, for the form to come back with.
    pub(super) query: &'a str,
    /// What ties the form to the browser.
    pub(super) csrf: &'a str,
    /// Why it is shown again.
    pub(super) error: Option<SignInError>,
}

/// The form.
pub(super) fn form(asks: &Asks<'_>) -> String {
    let mut body = String::from("<h1>Sign in</h1>\n");
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = body.write_fmt(text); // A String takes everything.
    };
    if let Some(error) = asks.error {
        line(format_args!("<p role=\"alert\"><strong>{}</strong></p>\n", Escaped(error)));
    }
    line(format_args!(
        "<p>A program on this machine that calls itself <strong>{}</strong> asks to act for you at <strong>{}</strong>. \
         Nobody has checked its name. The answer goes to {}.</p>\n",
        Escaped(asks.client),
        Escaped(asks.resource),
        Escaped(asks.redirect)
    ));
    match asks.scopes {
        None => line(format_args!("<p>It asks for all that you may give.</p>\n")),
        Some(scopes) => {
            line(format_args!("<p>It asks for these, and gets those of them that you may give:</p>\n<ul>\n"));
            scopes.iter().for_each(|scope| line(format_args!("<li>{}</li>\n", Escaped(scope))));
            line(format_args!("</ul>\n"));
        }
    }
    line(format_args!(
        "<form method=\"post\" action=\"{}?{}\">\n<input type=\"hidden\" name=\"csrf\" value=\"{}\">\n",
        super::public::AUTHORIZE,
        Escaped(asks.query),
        Escaped(asks.csrf)
    ));
    line(format_args!(
        "<p><label>User <input name=\"user\" autocomplete=\"username\" required autofocus></label></p>\n\
         <p><label>Password <input type=\"password\" name=\"password\" autocomplete=\"current-password\" required></label></p>\n\
         <p><label>Only this workload may use what you allow <select name=\"agent\">\n"
    ));
    asks.agents.iter().for_each(|agent| line(format_args!("<option>{}</option>\n", Escaped(agent))));
    line(format_args!(
        "</select></label></p>\n<p><button name=\"answer\" value=\"allow\">Sign in and allow</button>\n\
         <button name=\"answer\" value=\"deny\" formnovalidate>Decline</button></p>\n</form>\n"
    ));
    whole("Sign in", &body)
}

/// A page that says why it goes no further.
pub(super) fn stop(why: impl Display) -> String {
    whole("Not possible", &format!("<h1>This is not possible</h1>\n<p>{}.</p>\n", Escaped(why)))
}

fn whole(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title} - Sallyport</title></head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

/// Text as text, in content and in quoted attributes.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_of_itself_is_text() {
        let agents = BTreeSet::from(["spiffe://a.test/\"><script>".to_owned()]);
        let scopes = BTreeSet::from(["<b>".to_owned()]);
        let nasty = "\"'><script>alert(1)</script>";
        let page = form(&Asks {
            client: nasty,
            redirect: nasty,
            resource: nasty,
            scopes: Some(&scopes),
            agents: &agents,
            query: nasty,
            csrf: nasty,
            error: None,
        });
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        assert_eq!(page.matches("&quot;&#39;&gt;&lt;script&gt;").count(), 5, "{page}");
        assert!(!stop(nasty).contains("<script"));
    }
}

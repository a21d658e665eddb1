# Language models that callers name.
package lib.models

# The one that `sallyport up` brings.
allowed(model) if model == "smollm2"

# True if a call says how many tokens it wants, and that is not too many. One that
# doesn't say gets what the server gives by itself.
within(tokens, most) if {
	is_number(tokens)
	tokens <= most
}

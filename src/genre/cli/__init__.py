"""The command `genre`: each verb parses its arguments, calls one function and prints the result; no recommending."""

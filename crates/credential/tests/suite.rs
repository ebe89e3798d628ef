//! Black-box tests of the credential formats against other implementations.

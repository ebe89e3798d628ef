//! The issuer from outside: its files under every mishap, and orders that the real model made.

#[cfg(test)]
mod suite {
    mod authority;
    mod order;
}

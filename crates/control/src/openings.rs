//! In which order the streams of a node were opened.
//!
//! What a node says first on a stream, which bindings it holds, may be on its way for long: the network holds it back, the
//! node gives up and opens another stream, and the old words arrive after the new ones. Believed, they would end bindings
//! that the node serves. A node says nothing on a stream before the server has answered its opening, so the server's
//! order of openings is the node's own.
//!
//! INVARIANT: no stream of a node takes the place of one that was opened after it.
//!
//! Nothing is stored: with the process all of its streams end.

use credence_model::id::NodeName;
use credence_model::refusal::{Kind, Refusal};
use std::collections::HashMap;

/// Where a stream stands in the order of opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening(pub u64);

/// The newest opening of each node that has attached.
#[derive(Debug, Default)]
pub struct Openings {
    newest: HashMap<NodeName, Opening>,
}

impl Openings {
    /// Lets a stream attach unless a newer one of the node has.
    ///
    /// # Errors
    /// [`Kind::Stale`].
    pub fn admit(&mut self, node: &NodeName, opening: Opening) -> Result<(), Refusal> {
        match self.newest.get(node) {
            Some(newest) if *newest > opening => {
                let message = format!("node {node} has opened a newer stream, and what it said on this one is old");
                Err(Refusal::new(Kind::Stale, message))
            }
            _ => {
                self.newest.insert(node.clone(), opening);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, NodeName, Opening, Openings};

    #[test]
    fn words_on_an_older_stream_are_not_believed_whenever_they_come() {
        let mut openings = Openings::default();
        let (alpha, beta) = (NodeName::parse("alpha").unwrap(), NodeName::parse("beta").unwrap());
        openings.admit(&alpha, Opening(2)).unwrap();
        let refusal = openings.admit(&alpha, Opening(1)).unwrap_err();
        assert_eq!(refusal.kind, Kind::Stale);
        openings.admit(&beta, Opening(1)).unwrap();
        openings.admit(&alpha, Opening(3)).unwrap();
    }
}

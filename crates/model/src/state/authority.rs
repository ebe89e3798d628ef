//! What the registry knows of its authorities and of the nodes that have to know them.

use super::State;
use crate::authority::Authority;
use crate::id::NodeName;
use crate::node::{Node, NodeState};
use crate::refusal::{Kind, Refusal};

impl State {
    /// Connected nodes that do not hold a bundle of this sequence yet.
    pub fn nodes_without_bundle(&self, sequence: u64) -> impl Iterator<Item = &NodeName> {
        self.connected_nodes(move |node| node.bundle_held < sequence)
    }

    /// Connected nodes that may still serve what an authority signed that was tainted at this sequence.
    pub fn nodes_to_reissue(&self, sequence: u64) -> impl Iterator<Item = &NodeName> {
        self.connected_nodes(move |node| node.reissued < sequence)
    }

    fn connected_nodes(&self, lacks: impl Fn(&Node) -> bool) -> impl Iterator<Item = &NodeName> {
        let connected = self.nodes.values().filter(|node| node.state == NodeState::Connected);
        connected.filter(move |node| lacks(node)).map(|node| &node.name)
    }

    /// The authority whose id begins with these hexadecimal digits.
    ///
    /// # Errors
    /// If none does, or more than one.
    pub fn authority_named(&self, digits: &str) -> Result<&Authority, Refusal> {
        let wanted = digits.strip_prefix("sha256:").unwrap_or(digits);
        let hint = "See `credence authority list`";
        let fits = |authority: &&Authority| hex::encode(authority.id.0).starts_with(wanted);
        let mut found = self.authorities.all.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(one), None) if !wanted.is_empty() => Ok(one),
            (None, _) => {
                Err(Refusal::new(Kind::NotFound, format!("there is no authority {wanted} (any more)")).hint(hint))
            }
            _ => Err(Refusal::new(Kind::Malformed, "more than one authority begins like this").hint(hint)),
        }
    }
}

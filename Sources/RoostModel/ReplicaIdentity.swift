/// A replica that was removed from its group never comes back as the same Raft peer: its store id is a tombstone there.
/// So that a node may be given the partition again, its replicas have numbered identities: number 0 is the store id
/// itself, each later one is made of it. Whoever knows the store id can tell whose an identity is.
extension StoreID {
    /// Odd, and so a permutation of all 64-bit numbers; with its inverse.
    private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15
    private static let inverse: UInt64 = 0xf1de_83e1_9937_733d
    /// Numbers are below this: a node may be given a partition back so often.
    public static let replicaNumbers: UInt64 = 256

    public func replica(_ number: UInt64) -> StoreID { StoreID(value &+ number &* Self.step) }

    /// The number of an identity of this store's; nil where it is another store's.
    public func replicaNumber(of identity: StoreID) -> UInt64? {
        let number = (identity.value &- value) &* Self.inverse
        return number < Self.replicaNumbers ? number : nil
    }
}

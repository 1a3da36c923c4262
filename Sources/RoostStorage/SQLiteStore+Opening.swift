extension SQLiteStore {
    /// What was done with a database that can't be trusted any more.
    package struct SetAside: Sendable, Equatable {
        package var reason: String
        /// Where its files are now.
        package var directory: String
    }

    /// As the initialiser, but a database that is damaged beyond what other replicas can mend, that lacks what it had
    /// confirmed, or that was condemned in its last life, is set aside, and the store begins blank.
    package static func openOrSetAside(
        directory: String, options: Options = Options(),
        lookupFailed: @escaping @Sendable (StoreError) -> Void = { _ in }
    ) throws(StoreError) -> (store: SQLiteStore, setAside: SetAside?) {
        let lock = try DirectoryLock(directory: directory)
        var reason = DataDirectory.condemned(directory)
        if reason == nil {
            do throws(StoreError) {
                let store = try SQLiteStore(
                    directory: directory, lock: lock, options: options, lookupFailed: lookupFailed)
                do throws(StoreError) {
                    if let loss = try store.loss() { throw StoreError.corrupt(loss) }
                    return (store, nil)
                } catch {
                    try? store.close()
                    throw error
                }
            } catch .corrupt(let text) {
                reason = text
            }
        }
        let why = reason ?? "damaged"
        let target = try DataDirectory.setAside(directory, reason: why)
        let store = try SQLiteStore(directory: directory, lock: lock, options: options, lookupFailed: lookupFailed)
        return (store, SetAside(reason: why, directory: target))
    }
}

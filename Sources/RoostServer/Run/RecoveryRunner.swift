internal import Foundation
package import RoostModel
package import RoostNode
internal import RoostProtocol
internal import RoostStorage

/// `roost recover`: works on the data directories of nodes that do not run.
package struct RecoveryRunner {
    private struct Survivor {
        var store: SQLiteStore
        var directory: String
        var survey: SurvivorSurvey
        var facts: NodeFacts
        /// Of its former generation by its survey, and of the new one by its facts.
        var isDone = false
    }

    private let survivors: [Survivor]
    /// Of survivors elsewhere.
    private let elsewhere: [SurvivorSurvey]
    package let plan: UnsafeRecovery
    /// What speaks against a survivor: what it lacks of what it had confirmed, by its own mark, and why it was to be set
    /// aside.
    package let losses: [String]
    /// Those here with whom nothing is left to do.
    package var done: [NodeID] { survivors.filter(\.isDone).map(\.survey.node) }

    /// Opens the survivors' data and says what would be done; nothing is changed.
    /// - Parameters:
    ///   - ids: the nodes whose data directories are on this machine.
    ///   - paths: surveys of nodes elsewhere; one of a node that is here too must be of its data as it is.
    package init(config: ClusterConfig, from ids: [NodeID], with paths: [String]) throws(NodeRunError) {
        var survivors: [Survivor] = []
        var losses: [String] = []
        var elsewhere: [SurvivorSurvey] = []
        for path in paths { elsewhere.append(try SurveyFile.read(path)) }
        for id in ids {
            guard !survivors.contains(where: { $0.survey.node == id }) else { throw .twice(id) }
            var survivor = try Self.open(id, config)
            if let place = elsewhere.firstIndex(where: { $0.node == id }) {
                let given = elsewhere.remove(at: place)
                survivor.survey.nonce = given.nonce
                survivor.isDone = survivor.survey != given
                survivor.survey = given
            }
            if let reason = DataDirectory.condemned(survivor.directory) {
                losses.append("\(id): its data was to be set aside at the next start: \(reason)")
            }
            survivors.append(survivor)
            do throws(StoreError) {
                if let loss = try survivor.store.loss() { losses.append("\(id): \(loss)") }
            } catch {
                throw .opening(error, directory: survivor.directory)
            }
        }
        self.survivors = survivors
        self.elsewhere = elsewhere
        self.losses = losses
        do throws(UnsafeRecovery.Refusal) {
            plan = try UnsafeRecovery(survivors.map(\.survey) + elsewhere)
        } catch {
            throw .refusing(error, among: survivors.map(\.directory))
        }
        for survivor in survivors where survivor.isDone && survivor.facts.founded?.clusterID != plan.clusterID {
            throw NodeRunError(
                message: "\(survivor.survey.node) has changed since its survey was saved: "
                    + "save it again, and carry it everywhere", exitCode: NodeRunError.cannotCreate)
        }
    }

    private static func open(_ id: NodeID, _ config: ClusterConfig) throws(NodeRunError) -> Survivor {
        guard let own = config.node(id) else {
            throw NodeRunError(
                message: "--from: there is no node \(id) in this file", exitCode: NodeRunError.configuration)
        }
        let directory = own.dataDirectory
        guard FileManager.default.fileExists(atPath: directory + "/roost.db") else { throw .nothing(in: directory) }
        let found: Survivor?
        do throws(StoreError) {
            let store = try SQLiteStore(directory: directory)
            var generator = SystemRandomNumberGenerator()
            let facts = try store.loadFacts()
            let survey = try SurvivorSurvey(node: id, facts: facts, nonce: generator.next()) {
                partition throws(StoreError) in try store.loadPartition(partition)
            }
            if let facts, let survey {
                found = Survivor(store: store, directory: directory, survey: survey, facts: facts)
            } else {
                found = nil
            }
        } catch {
            throw .opening(error, directory: directory)
        }
        guard let found else { throw .nothing(in: directory) }
        return found
    }

    /// The surveys of the nodes here, for the other machines: `{node}.json` in the directory.
    package static func save(
        config: ClusterConfig, from ids: [NodeID], to directory: String
    ) throws(NodeRunError) -> [String] {
        var paths: [String] = []
        for id in ids {
            let survivor = try open(id, config)
            let path = "\(directory)/\(id).json"
            try SurveyFile(survivor.survey).write(path)
            paths.append(path)
        }
        return paths
    }

    /// Each survivor in one transaction. Interrupted between two of them, it goes on by the surveys that are kept until
    /// all are done.
    package func apply() throws(NodeRunError) {
        try keepSurveys()
        for survivor in survivors {
            do throws(StoreError) {
                // First: what is recovered must not be set aside.
                try DataDirectory.pardon(survivor.directory)
                if !survivor.isDone {
                    try survivor.store.commit(
                        plan.writes(of: survivor.survey.node), facts: plan.facts(survivor.facts))
                }
                try survivor.store.close()
            } catch {
                throw .opening(error, directory: survivor.directory)
            }
        }
        for survivor in survivors { try? FileManager.default.removeItem(atPath: Self.kept(survivor.directory)) }
    }

    /// Synced: a survivor that has changed can't be surveyed again.
    private func keepSurveys() throws(NodeRunError) {
        guard survivors.count > 1, !survivors.contains(where: \.isDone) else { return }
        for survivor in survivors {
            let directory = Self.kept(survivor.directory)
            try? FileManager.default.removeItem(atPath: directory)
            do {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            } catch {
                throw NodeRunError(
                    message: "\(directory): \(error.localizedDescription)", exitCode: NodeRunError.cannotCreate)
            }
            for survey in survivors.map(\.survey) + elsewhere {
                let path = "\(directory)/\(survey.node).json"
                try SurveyFile(survey).write(path)
                try Self.sync(path)
            }
            try Self.sync(directory)
            try Self.sync(survivor.directory)
        }
    }

    private static func sync(_ path: String) throws(NodeRunError) {
        let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw NodeRunError(
                message: "\(path) can't be synced: \(String(cString: strerror(errno)))",
                exitCode: NodeRunError.cannotCreate)
        }
    }

    fileprivate static func kept(_ directory: String) -> String { "\(directory)/recovery" }
}

extension NodeRunError {
    fileprivate static func nothing(in directory: String) -> NodeRunError {
        NodeRunError(
            message: "data_dir \(directory): blank, there is nothing to recover from", exitCode: cannotCreate)
    }

    fileprivate static func twice(_ id: NodeID) -> NodeRunError {
        NodeRunError(message: "\(id) is named twice", exitCode: usage)
    }

    /// - Parameter directories: of the survivors here.
    fileprivate static func refusing(
        _ refusal: UnsafeRecovery.Refusal, among directories: [String]
    ) -> NodeRunError {
        switch refusal {
        case .blank: NodeRunError(message: "--from: no node is named", exitCode: usage)
        case .twice(let id): .twice(id)
        case .strangers(let one, let other):
            NodeRunError(
                message: "\(one) and \(other) are of different generations of the cluster: they can't go on together"
                    + interrupted(directories), exitCode: cannotCreate)
        case .lacks(let partitions, let nodes):
            NodeRunError(
                message:
                    "no survivor named holds partition \(partitions.prefix(16).map(\.description).joined(separator: ", "))"
                    + ": name one of \(nodes.map(\.name).joined(separator: ", ")) as well", exitCode: cannotCreate)
        }
    }

    private static func interrupted(_ directories: [String]) -> String {
        for directory in directories.map(RecoveryRunner.kept) {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            guard !names.isEmpty else { continue }
            let surveys = names.sorted().map { "--with \(directory)/\($0)" }
            return "; a recovery was interrupted, which goes on with \(surveys.joined(separator: " "))"
        }
        return ""
    }
}

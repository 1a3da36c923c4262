internal import RoostNode

extension NodeService {
    /// All that an HTTP call asks of the node, within nine tenths of its time: the rest is for saying that it was not
    /// enough.
    func withinHTTPTimeout<Answer>(_ body: () async -> Answer) async -> Answer {
        await within(milliseconds: configuration.timing.httpTimeoutMilliseconds * 9 / 10, body)
    }
}

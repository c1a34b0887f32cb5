/** The tournament: which of many lanes has the earliest head, found with log2 of them in comparisons. */

/** A tree of losers over the lanes' heads; equal heads are won by the lane in front. */
export class Tournament {
  /** By lane: the time of its head in ns, Infinity when it has ended. Changed by the owner, who then calls. */
  readonly heads: Float64Array
  /** The lane with the earliest head, after `begin` and each `replay`. */
  winner = 0
  /** From 1 on: the loser of each match; the matches above lane n begin at (n + lanes) / 2. */
  private readonly losers: Int32Array

  constructor(lanes: number) {
    this.heads = new Float64Array(lanes)
    this.losers = new Int32Array(lanes)
  }

  /** Plays every match, when all heads are set. */
  begin(): void {
    const { heads, losers } = this
    const count = heads.length
    const winners = new Int32Array(2 * count)
    for (let lane = 0; lane < count; lane++) winners[count + lane] = lane
    for (let node = count - 1; node > 0; node--) {
      const left = winners[2 * node]
      const right = winners[2 * node + 1]
      const leftWins = heads[left] < heads[right] || (heads[left] === heads[right] && left < right)
      winners[node] = leftWins ? left : right
      losers[node] = leftWins ? right : left
    }
    this.winner = winners[1]
  }

  /** Plays the last winner's matches again, after its head has changed. */
  replay(): void {
    const { heads, losers } = this
    let { winner } = this
    let winnerNs = heads[winner]
    for (let node = (winner + losers.length) >> 1; node > 0; node >>= 1) {
      const rival = losers[node]
      const rivalNs = heads[rival]
      if (rivalNs < winnerNs || (rivalNs === winnerNs && rival < winner)) {
        losers[node] = winner
        winner = rival
        winnerNs = rivalNs
      }
    }
    this.winner = winner
  }
}

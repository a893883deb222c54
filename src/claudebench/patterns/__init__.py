"""The three architectural patterns, as labels that every command carries and as strategies behind one seam.

A *seam* is a place where one of three interchangeable strategies is in force in a workspace: `events`, how subscribers
learn of events. Which one it is, the store's *word* says: {strategy, epoch, phase}. The processes that work at a seam
are its *members*, each by a lease; a member follows the word and notes its *place*: at which epoch it has stopped,
runs, or failed. Whoever leads a switch holds the role `switch:<seam>` and takes one step after the other:

    steady     begin     -> draining   epoch + 1   members end what runs
    draining   switch    -> verifying  epoch + 1   when every live member has stopped; members start the target
    verifying  complete  -> steady                 when every live member runs it, and has seen that it works
    draining   give up   -> steady     epoch + 1   the former strategy goes on
    verifying  give up   -> undoing    epoch + 1   members stop the target
    undoing    undo      -> steady     epoch + 1   when every live member has stopped; the former strategy is in force

Invariants: a step is one script, which changes the word and appends its event; it is taken once, from one epoch, by who
leads under the present term. At no time do two live members run different strategies. A member whose lease is over
counts no more and stops by its own clock; what one that stood still does late is fenced where it is done, by the epoch
that its strategy was made with. A switch whose leader died is led on by any member (`migration`), to its end.
"""

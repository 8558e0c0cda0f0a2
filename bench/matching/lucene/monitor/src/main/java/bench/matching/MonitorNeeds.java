package bench.matching;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.lucene.analysis.core.KeywordAnalyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.Term;
import org.apache.lucene.monitor.Monitor;
import org.apache.lucene.monitor.MonitorConfiguration;
import org.apache.lucene.monitor.MonitorQuery;
import org.apache.lucene.monitor.QueryMatch;
import org.apache.lucene.monitor.TermFilteredPresearcher;
import org.apache.lucene.search.TermQuery;

/**
 * A new offering comes: the needs into whose ten it enters, with Lucene's Monitor (once Luwak). The lists move with it.
 *
 * <p>Each need is a stored query for its place, the smallest there is; the presearcher by terms finds just those that match.
 * Points and lists are as in {@code ReverseIndex}, in memory by the query's number. Nothing is purged while it is measured.
 */
public final class MonitorNeeds {
  private static final int REGISTERED_AT_ONCE = 10_000;

  private MonitorNeeds() {}

  public static void main(String[] arguments) throws IOException {
    int number = Integer.parseInt(arguments[0]);
    Records needs = Records.read("needs.bin", Need.WIDTH);
    Records events = Records.read("events.bin", Offering.WIDTH);
    MonitorConfiguration configuration = new MonitorConfiguration();
    configuration.setQueryUpdateBufferSize(REGISTERED_AT_ONCE);
    configuration.setPurgeFrequency(1, java.util.concurrent.TimeUnit.DAYS);
    try (Monitor monitor = new Monitor(new KeywordAnalyzer(), new TermFilteredPresearcher(), configuration)) {
      register(monitor, needs);
      long[] nanoseconds = new long[number];
      Entered entered = null;
      for (int round = Answers.rounds(number); round > 0; round--) { // the last one counts
        entered = new Entered(number);
        TopTen[] lists = TopTen.read("standing.bin");
        for (int event = 0; event < number; event++) {
          long begun = System.nanoTime();
          int offering = events.at(event);
          int rank = Records.intAt(events.bytes, offering + Offering.RANK);
          Document document = new Document();
          for (String place : Places.ofOffering(events.bytes, offering)) {
            document.add(new StringField("place", place, Field.Store.NO));
          }
          for (QueryMatch match : monitor.match(document, QueryMatch.SIMPLE_MATCHER).getMatches()) {
            int need = Integer.parseInt(match.getQueryId());
            TopTen list = lists[need];
            int score = Score.of(needs.bytes, needs.at(need), events.bytes, offering, list.atLeast());
            if (score != Score.NONE && list.enter(score, rank)) {
              entered.add(need);
            }
          }
          entered.endOfEvent();
          nanoseconds[event] = System.nanoTime() - begun;
        }
      }
      Answers.write("entered.nanoseconds", nanoseconds);
      entered.write();
    }
  }

  private static void register(Monitor monitor, Records needs) throws IOException {
    List<MonitorQuery> queries = new ArrayList<>();
    for (int need = 0; need < needs.number; need++) {
      String place = Places.ofNeed(needs.bytes, needs.at(need));
      queries.add(new MonitorQuery(Integer.toString(need), new TermQuery(new Term("place", place))));
      if (queries.size() == REGISTERED_AT_ONCE) {
        monitor.register(queries);
        queries.clear();
      }
    }
    monitor.register(queries);
  }
}
